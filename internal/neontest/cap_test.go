package neontest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// TestCapOnBranches asks for one branch more than fits. The ten that are there
// exist on paper alone: as servers they would take long to make.
func TestCapOnBranches(t *testing.T) {
	t.Parallel()
	p := &project{ID: "full"}
	for range maxBranches {
		b := newBranch(p, "", time.Now())
		b.State = ready
		p.Branches = append(p.Branches, b)
	}
	p.Branches[0].Default = true
	s := &Server{state: state{APIKey: "key", Projects: []*project{p}}}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, basePath+"/projects/full/branches", nil)
	r.Header.Set("Authorization", "Bearer key")
	w := httptest.NewRecorder()
	s.routes().ServeHTTP(w, r)
	var said struct{ Code string }
	if err := json.Unmarshal(w.Body.Bytes(), &said); err != nil {
		t.Fatal(err)
	}
	if w.Code != http.StatusUnprocessableEntity || said.Code != "BRANCHES_LIMIT_EXCEEDED" {
		t.Errorf("the eleventh branch: %d %s", w.Code, w.Body)
	}
	if len(p.Branches) != maxBranches || len(p.Operations) != 0 {
		t.Error("a refused branch left something behind")
	}
}
