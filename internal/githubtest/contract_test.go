package githubtest_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

const (
	restFile    = "../../../shared/contracts/github-rest-subset.compact.json"
	webhookFile = "../../../shared/contracts/github-webhooks-subset.json"
)

// restRouter finds the operation of a request in GitHub's description, or is
// nil if that is not at hand.
var restRouter = sync.OnceValues(func() (routers.Router, error) {
	text, err := os.ReadFile(restFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	// These may hold slashes, which the router must be told.
	for _, name := range []string{"contents/{path", "branches/{branch", "compare/{basehead", "git/ref/{ref"} {
		text = bytes.ReplaceAll(text, []byte(name+`}"`), []byte(name+`:.+}"`))
	}
	doc, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		return nil, err
	}
	// The list of installations describes an account as a user and an enterprise
	// at once; everywhere else, and in fact, it is one of them.
	list := doc.Paths.Value("/app/installations").Get.Responses.Value("200").Value.Content["application/json"]
	account := list.Schema.Value.Items.Value.Properties["account"].Value
	account.AnyOf, account.AllOf = account.AllOf, nil
	doc.Servers = openapi3.Servers{{URL: "/api/v3"}}
	return gorillamux.NewRouter(doc)
})

// webhookSchemas compiles GitHub's description of an event by its name, or is
// nil if that is not at hand.
var webhookSchemas = sync.OnceValues(func() (func(string) (*jsonschema.Schema, error), error) {
	if _, err := os.Stat(webhookFile); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	path, err := filepath.Abs(webhookFile)
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	var mu sync.Mutex
	return func(name string) (*jsonschema.Schema, error) {
		mu.Lock()
		defer mu.Unlock()
		return c.Compile("file://" + path + "#/components/schemas/webhook-" + name)
	}, nil
})

// TestContractsAtHand makes it loud when the other tests hold nothing against
// GitHub's descriptions.
func TestContractsAtHand(t *testing.T) {
	t.Parallel()
	router, err := restRouter()
	must(t, err)
	schemas, err := webhookSchemas()
	must(t, err)
	if router == nil || schemas == nil {
		t.Skip("GitHub's API descriptions are not at hand: requests, answers and webhooks are NOT held against them")
	}
}

// contract is a transport that holds each exchange against the description.
func contract(t *testing.T) http.RoundTripper {
	t.Helper()
	router, err := restRouter()
	must(t, err)
	if router == nil {
		return http.DefaultTransport
	}
	return &contractTransport{t: t, router: router}
}

type contractTransport struct {
	t      *testing.T
	router routers.Router
}

// undescribed are paths that GitHub answers, but doesn't describe.
var undescribed = regexp.MustCompile(`^/api/v3/(repositories/\d+|nowhere|repos/acme/shop/contents/$)`)

func (c *contractTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	reqBody, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	req.Body = io.NopCloser(bytes.NewReader(reqBody))
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil || undescribed.MatchString(req.URL.Path) || !strings.HasPrefix(req.URL.Path, "/api/v3/") {
		return res, err
	}
	body, broken := io.ReadAll(res.Body)
	res.Body = io.NopCloser(bytes.NewReader(body))
	if broken == nil {
		c.check(req, reqBody, res, body)
	} else { // the client shall see the answer break off, too
		res.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body), failing{broken}))
	}
	return res, err
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func (c *contractTransport) check(req *http.Request, reqBody []byte, res *http.Response, body []byte) {
	c.t.Helper()
	for _, h := range []string{"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "Date"} {
		if res.Header.Get(h) == "" && res.StatusCode < 500 && res.StatusCode/100 != 3 {
			c.t.Errorf("%s %s: answer without %s", req.Method, req.URL.Path, h)
		}
	}
	route, params, err := c.router.FindRoute(req)
	if err != nil {
		c.t.Errorf("%s %s: not described: %v", req.Method, req.URL.Path, err)
		return
	}
	in := &openapi3filter.RequestValidationInput{
		Request: req, PathParams: params, Route: route,
		Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, MultiError: true},
	}
	if res.StatusCode < 400 && string(bytes.TrimSpace(reqBody)) != "null" {
		req.Body = io.NopCloser(bytes.NewReader(reqBody))
		if err := openapi3filter.ValidateRequest(req.Context(), in); err != nil {
			c.t.Errorf("%s %s: request: %v", req.Method, req.URL.Path, err)
		}
	}
	kind := res.Header.Get("Content-Type")
	if !strings.HasPrefix(kind, "application/json") {
		return // raw media types are described as JSON
	}
	out := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: in, Status: res.StatusCode, Header: res.Header,
		Body: io.NopCloser(bytes.NewReader(body)), Options: in.Options,
	}
	if err := openapi3filter.ValidateResponse(req.Context(), out); err != nil {
		c.t.Errorf("%s %s: answer %d: %.1500v", req.Method, req.URL.Path, res.StatusCode, err)
	}
}

// checkEvent holds a webhook against its schema.
func checkEvent(t *testing.T, event, action string, payload []byte) {
	t.Helper()
	schemas, err := webhookSchemas()
	if err != nil {
		t.Errorf("read webhook schemas: %v", err)
		return
	}
	if schemas == nil {
		return
	}
	parts := slices.DeleteFunc([]string{event, action}, func(s string) bool { return s == "" })
	name := strings.ReplaceAll(strings.Join(parts, "-"), "_", "-")
	schema, err := schemas(name)
	if err != nil {
		t.Errorf("no schema for %s: %v", name, err)
		return
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(payload))
	if err != nil {
		t.Errorf("read %s: %v", name, err)
		return
	}
	if err := schema.Validate(v); err != nil {
		text, _ := json.Marshal(v)
		t.Errorf("webhook %s: %v\n%.300s", name, err, text)
	}
}
