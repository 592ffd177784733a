package refresh

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/neontwin/neontwin/internal/clone"
	"github.com/neontwin/neontwin/internal/mask"
	"github.com/neontwin/neontwin/internal/pgcopy"
	"github.com/neontwin/neontwin/internal/twin"
)

// A refusal names what could be acknowledged, and never what could not.
func TestRefusalNamesWhatToAccept(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		ids  []string
		want string
	}{
		{[]string{clone.HazardUnreadable}, "mend what is named, then sync again"},
		{
			[]string{clone.HazardLargeObjects, clone.HazardRoom, clone.HazardRoom},
			"mend what is named, or acknowledge it by accept: [large_objects, too_little_room] of the target in the operator's file (twin sync: --accept=large_objects --accept=too_little_room), then sync again",
		},
		{
			[]string{clone.HazardUnreadable, clone.HazardRoom},
			"mend what is named, then sync again; too_little_room can be acknowledged instead, by accept: [too_little_room] of the target in the operator's file (twin sync: --accept=too_little_room)",
		},
	} {
		var hazards []twin.Hazard
		for _, id := range c.ids {
			hazards = append(hazards, twin.Hazard{ID: id, Message: id + "!", Refuses: true})
		}
		f := refusal(hazards)
		all := strings.Join(c.ids, "!\n") + "!"
		if len(c.ids) > 1 {
			all = fmt.Sprintf("%d things forbid it:\n", len(c.ids)) + all
		}
		if f.Next != c.want || f.Message != all {
			t.Errorf("%v: %+v", c.ids, f)
		}
	}
}

// TestMaskingFailure names the column, and neither value nor server.
func TestMaskingFailure(t *testing.T) {
	t.Parallel()
	err := &clone.Error{Object: "public.people", Err: &pgcopy.SourceError{Err: fmt.Errorf("mask rows: %w", &mask.ColumnError{Column: "Born", Err: errors.New("it is no date")})}}
	f := describe(err)
	if f.Code != twin.CodeData || f.Retry || f.Message != `a value of public.people."Born" could not be masked: it is no date` || f.Next == "" {
		t.Errorf("%+v", f)
	}
	broken := &clone.Error{Object: "public.people", Err: &pgcopy.TargetError{Err: &pgconn.PgError{Code: "23514", ConstraintName: "people_check", Detail: "Failing row contains (secret)."}}}
	if f := describe(broken); f.Code != twin.CodeData || !strings.HasSuffix(f.Message, "public.people, constraint people_check") {
		t.Errorf("%+v", f)
	}
	if text := (hush{broken}).Error(); strings.Contains(text, "secret") || !strings.Contains(text, "23514") {
		t.Error(text)
	}
}

// TestMaskedFailuresAreHushed holds failures that were classified elsewhere to
// the same silence.
func TestMaskedFailuresAreHushed(t *testing.T) {
	t.Parallel()
	s := &sync{Job: Job{Mode: twin.Anonymized}, track: clone.NewTracker(func(twin.Progress) {})}
	quoting := &pgconn.PgError{Code: "22P02", Message: `invalid input: "secret"`}
	for _, err := range []error{
		fmt.Errorf("%w: %w", &twin.Failure{Code: twin.CodeData, Message: "said", Cause: quoting}, quoting),
		fmt.Errorf("%w: %w", twin.ErrLeaseLost, quoting),
		&sourceError{"look", quoting},
	} {
		got := s.classify(t.Context(), err)
		if f := twin.AsFailure(got); strings.Contains(got.Error()+f.Error(), "secret") || errors.Is(err, twin.ErrLeaseLost) != errors.Is(got, twin.ErrLeaseLost) {
			t.Errorf("%v, %v", got, f)
		}
	}
	if f := twin.AsFailure(s.classify(t.Context(), &twin.Failure{Code: twin.CodeData, Message: "said"})); f.Message != "said" {
		t.Errorf("a failure is not told any more: %+v", f)
	}
}
