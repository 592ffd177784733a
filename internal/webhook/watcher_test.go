package webhook_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/neontwin/neontwin/internal/github"
	"github.com/neontwin/neontwin/internal/twin"
	"github.com/neontwin/neontwin/internal/webhook"
)

var shopRepo = twin.Repository{InstallationID: 7, ID: 9, Owner: "acme", Name: "shop", DefaultBranch: "main"}

// sights is what GitHub shows of a branch.
type sights struct {
	spare    error
	head     github.Head
	headErr  error
	compare  github.Comparison
	merged   []github.PullRequest
	compared string
}

func (s *sights) Spare(int64) error { return s.spare }

func (s *sights) Head(context.Context, twin.Repository, string) (github.Head, error) {
	return s.head, s.headErr
}

func (s *sights) Compare(_ context.Context, _ twin.Repository, from, to string) (github.Comparison, error) {
	s.compared = from[:1] + to[:1]
	return s.compare, nil
}

func (s *sights) Merged(_ context.Context, _ twin.Repository, branch string, since time.Time) ([]github.PullRequest, error) {
	return slices.DeleteFunc(slices.Clone(s.merged), func(p github.PullRequest) bool { return p.MergedAt.Before(since) || p.BaseRef != branch }), nil
}

var (
	noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	old  = noon.Add(-time.Hour)
)

func pull(n int, merge string, at time.Time) github.PullRequest {
	return github.PullRequest{Number: n, Merged: true, MergedAt: at, BaseRef: "main", BaseRepository: 9, HeadSHA: strings.Repeat("f", 40), MergeCommitSHA: merge}
}

// TestMissing: what is made is understood as GitHub's own webhooks are.
func TestMissing(t *testing.T) {
	t.Parallel()
	at := func(sha string) twin.Fact {
		return twin.Fact{Repo: shopRepo, Ref: "refs/heads/main", SHA: sha, At: old}
	}
	head := github.Head{SHA: shaMerge, Committed: old, AsOf: noon}
	fresh := github.Head{SHA: shaMerge, Committed: noon.Add(-time.Second), AsOf: noon}
	ahead := github.Comparison{Ahead: true, Paths: []string{"db/1.sql"}, Complete: true}
	for name, c := range map[string]struct {
		sights sights
		pushed twin.Fact
		known  []twin.Fact
		astray twin.Fact
		want   []string // of the changes that the deliveries tell, newest first
		young  bool
	}{
		"nothing is known":       {sights: sights{head: head, merged: []github.PullRequest{pull(3, shaMerge, noon.Add(-30*time.Minute))}}},
		"nothing is missing":     {sights: sights{head: head}, pushed: at(shaMerge)},
		"a push":                 {sights: sights{head: head, compare: ahead}, pushed: at(shaHead), want: []string{"push b from a [db/1.sql]"}},
		"a push of many files":   {sights: sights{head: head, compare: github.Comparison{Ahead: true, Paths: []string{"x"}}}, pushed: at(shaHead), want: []string{"push b from a any"}},
		"a push by force":        {sights: sights{head: head}, pushed: at(shaHead), want: []string{"push b from a by force any"}},
		"a push just now":        {sights: sights{head: fresh, compare: ahead}, pushed: at(shaHead), young: true},
		"a commit of the future": {sights: sights{head: github.Head{SHA: shaMerge, Committed: noon.Add(time.Hour), AsOf: noon}, compare: ahead}, pushed: at(shaHead), want: []string{"push b from a [db/1.sql]"}},
		"two merges, one known": {
			sights: sights{head: head, merged: []github.PullRequest{pull(4, shaMerge, noon.Add(-10*time.Minute)), pull(3, shaMain, noon.Add(-30*time.Minute)), pull(2, shaMain, old.Add(-time.Minute))}},
			pushed: at(shaMerge), known: []twin.Fact{{SHA: shaMerge, PR: 4}}, want: []string{"pull request 3 at d"},
		},
		"a merge just now": {sights: sights{head: head, merged: []github.PullRequest{pull(4, shaMerge, noon)}}, pushed: at(shaMerge), young: true},
		"a merge and its push": {
			sights: sights{head: head, compare: ahead, merged: []github.PullRequest{pull(4, shaMerge, noon.Add(-10*time.Minute))}},
			pushed: at(shaHead), want: []string{"push b from a [db/1.sql]", "pull request 4 at b"},
		},
		"another default branch": {
			sights: sights{head: head, compare: ahead}, pushed: twin.Fact{Ref: "refs/heads/master", SHA: shaHead, At: old},
			want: []string{"push b from a by force any"},
		},
		"a Twin is astray":         {sights: sights{head: head}, pushed: at(shaMerge), astray: at(shaHead), want: []string{"push b from a by force any"}},
		"a Twin is behind":         {sights: sights{head: head, compare: ahead}, pushed: at(shaMerge), astray: at(shaHead), want: []string{"push b from a [db/1.sql]"}},
		"a Twin went astray now":   {sights: sights{head: head}, pushed: at(shaMerge), astray: twin.Fact{Ref: "refs/heads/main", SHA: shaHead, At: noon.Add(-30 * time.Second)}, young: true},
		"astray, and pushed since": {sights: sights{head: head}, pushed: at(shaMain), astray: at(shaHead), want: []string{"push b from d by force any"}},
		"no branch":                {sights: sights{headErr: github.ErrNoBranch}, pushed: at(shaHead)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, err := webhook.NewWatcher(&c.sights, time.Minute).Missing(t.Context(), shopRepo, "main", twin.Known{Pushed: c.pushed, Since: old, Merged: c.known, Astray: c.astray})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, d := range m.Deliveries {
				got = append(got, meaning(t, d))
			}
			if !slices.Equal(got, c.want) || m.Young != c.young {
				t.Errorf("got %q, young %t, want %q", got, m.Young, c.want)
			}
			if c.sights.headErr == nil && (m.Head.SHA != shaMerge || m.Head.Ref != "refs/heads/main" || !m.Head.At.Equal(noon)) {
				t.Errorf("the head is %+v", m.Head)
			}
		})
	}
}

// TestWhatIsSeenIsNewerThanWhatWasTold, also where GitHub's clock was set back.
func TestWhatIsSeenIsNewerThanWhatWasTold(t *testing.T) {
	t.Parallel()
	s := sights{head: github.Head{SHA: shaMerge, Committed: old, AsOf: noon}, compare: github.Comparison{Ahead: true}}
	pushed := twin.Fact{Repo: shopRepo, Ref: "refs/heads/main", SHA: shaHead, At: noon.Add(time.Hour)}
	merged := twin.Fact{Repo: shopRepo, Ref: "refs/heads/main", SHA: shaHead, PR: 3, At: noon.Add(2 * time.Hour)}
	m, err := webhook.NewWatcher(&s, time.Minute).Missing(t.Context(), shopRepo, "main", twin.Known{Pushed: pushed, Since: old, Merged: []twin.Fact{merged}})
	if err != nil || len(m.Deliveries) != 1 {
		t.Fatalf("%+v, %v", m, err)
	}
	ev, err := github.ParseEvent(m.Deliveries[0].GUID, "push", m.Deliveries[0].Body)
	if err != nil {
		t.Fatal(err)
	}
	if ch, _ := webhook.About(ev); !ch.At.After(merged.At) || !ch.At.Equal(m.Head.At) {
		t.Errorf("pushed at %s, the head is of %s; told before: %s", ch.At, m.Head.At, merged.At)
	}
}

// meaning reads a delivery as a webhook is read, and says in words what it tells.
func meaning(t *testing.T, d twin.Delivery) string {
	t.Helper()
	ev, err := github.ParseEvent(d.GUID, d.Event, d.Body)
	if err != nil {
		t.Fatal(err)
	}
	ch, reason := webhook.About(ev)
	if reason != "" || ch.Repo != shopRepo || ch.Ref != "refs/heads/main" || ch.At.IsZero() || d.InstallationID != 7 || d.RepositoryID != 9 || d.Action != ev.Action {
		t.Errorf("%s tells %+v: %s", d.Body, ch, reason)
	}
	if ch.Trigger == twin.PullRequest {
		return "pull request " + string(rune('0'+ch.PR)) + " at " + ch.SHA[:1]
	}
	if !ch.At.Equal(noon) {
		t.Errorf("pushed at %s, want when GitHub was asked", ch.At)
	}
	text := "push " + ch.SHA[:1] + " from " + ch.Before[:1]
	if ch.Forced {
		text += " by force"
	}
	if !ch.PathsKnown {
		return text + " any"
	}
	return text + " [" + strings.Join(ch.Paths, " ") + "]"
}

// TestMissingIsMadeOnce: the same fact has the same GUID, another has another.
func TestMissingIsMadeOnce(t *testing.T) {
	t.Parallel()
	s := &sights{
		head:   github.Head{SHA: shaMerge, Committed: old, AsOf: noon},
		merged: []github.PullRequest{pull(3, shaMerge, noon.Add(-30*time.Minute)), pull(4, shaMerge, noon.Add(-20*time.Minute))},
	}
	w := webhook.NewWatcher(s, time.Minute)
	guids := func() (all []string) {
		m, err := w.Missing(t.Context(), shopRepo, "main", twin.Known{Pushed: twin.Fact{Ref: "refs/heads/main", SHA: shaHead}, Since: old})
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range m.Deliveries {
			all = append(all, d.GUID)
		}
		return all
	}
	first := guids()
	s.head.AsOf = noon.Add(time.Hour)
	second := guids()
	if !slices.Equal(first, second) || len(first) != 3 || first[0] == first[1] || first[1] == first[2] {
		t.Errorf("got %q, then %q", first, second)
	}
}

func TestMissingWaitsForTheBudget(t *testing.T) {
	t.Parallel()
	s := &sights{spare: &twin.LaterError{At: noon, Err: errors.New("little is left")}}
	_, err := webhook.NewWatcher(s, 0).Missing(t.Context(), shopRepo, "main", twin.Known{Pushed: twin.Fact{SHA: shaHead}, Since: old})
	if !errors.As(err, new(*twin.LaterError)) {
		t.Errorf("got %v", err)
	}
}
