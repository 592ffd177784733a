package githubtest_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/neontwin/neontwin/internal/githubtest"
)

func TestStateSurvivesRestart(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "github", "state.json")
	k := setup(t, func(o *githubtest.Options) { o.StateFile = file })
	p := k.pull()
	token := k.token("")
	run := k.want(201, "POST", runsPath, token, js(t, m{"name": "x", "head_sha": p.HeadSHA, "external_id": "r1:head"})).object(t)
	k.settle()
	app, sent := k.gh.App(), len(k.gh.Deliveries())
	// A webhook that nobody overtakes before the end is sent after the restart.
	k.gh.BreakWebhook(githubtest.WebhookFault{Kind: githubtest.WebhookOvertaken})
	k.gh.Ping()
	must(t, k.gh.Close())
	info, err := os.Stat(file)
	must(t, err)
	equal(t, "mode of the state file", info.Mode(), fs.FileMode(0o600))

	again, err := githubtest.Start(t.Context(), githubtest.Options{StateFile: file, Now: k.clock.now})
	must(t, err)
	t.Cleanup(func() { _ = again.Close() })
	k.gh = again
	equal(t, "App", string(again.App().PrivateKeyPEM), string(app.PrivateKeyPEM))
	equal(t, "secret", again.App().WebhookSecret, app.WebhookSecret)
	repo, err := again.Repository("acme/shop")
	must(t, err)
	equal(t, "repository", repo, k.repo)
	got, err := again.PullRequest("acme/shop", 1)
	must(t, err)
	equal(t, "pull request", got, p)
	k.want(401, "GET", "/repos/acme/shop", token, "") // tokens don't survive
	token = k.token("")
	back := k.want(200, "GET", fmt.Sprintf("%s/%.0f", runsPath, run["id"]), token, "").object(t)
	equal(t, "external_id", back["external_id"], any("r1:head"))
	k.settle()
	equal(t, "deliveries", len(again.Deliveries()), sent+1)
	_, err = again.Merge("acme/shop", 1, githubtest.Merge{})
	must(t, err)
	k.settle()
}

func TestBrokenState(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "state.json")
	must(t, os.WriteFile(file, []byte("{"), 0o600))
	if gh, err := githubtest.Start(t.Context(), githubtest.Options{StateFile: file}); err == nil {
		_ = gh.Close()
		t.Error("started from half a state file")
	}
}

// What is asked for wrongly is refused, and nothing changes.
func TestRefusedActs(t *testing.T) {
	t.Parallel()
	k := setup(t)
	for name, do := range map[string]func() error{
		"repository without owner": func() error { _, err := k.gh.CreateRepository(githubtest.NewRepository{FullName: "shop"}); return err },
		"repository twice": func() error {
			_, err := k.gh.CreateRepository(githubtest.NewRepository{FullName: "Acme/Shop"})
			return err
		},
		"install twice":   func() error { _, err := k.gh.Install("acme"); return err },
		"suspend nobody":  func() error { return k.gh.Suspend("umbrella") },
		"select nothing":  func() error { return k.gh.SelectRepositories("acme") },
		"push to nowhere": func() error { _, err := k.gh.Push(githubtest.Push{Repository: "acme/none"}); return err },
		"push of an unknown": func() error {
			_, err := k.gh.Push(githubtest.Push{Repository: "acme/shop", Branch: "x", To: "none"})
			return err
		},
		"deletion of the default": func() error { return k.gh.DeleteBranch("acme/shop", "main") },
		"tag of an unknown":       func() error { return k.gh.Tag("acme/shop", "v1", "none") },
		"merge of an unknown":     func() error { _, err := k.gh.Merge("acme/shop", 1, githubtest.Merge{}); return err },
		"pull request from an unknown branch": func() error {
			_, err := k.gh.OpenPullRequest(githubtest.NewPullRequest{Repository: "acme/shop", Head: "none"})
			return err
		},
		"pull request into an unknown branch": func() error {
			_, err := k.gh.OpenPullRequest(githubtest.NewPullRequest{Repository: "acme/shop", Base: "none"})
			return err
		},
		"fork over a repository": func() error { _, err := k.gh.Fork("acme/shop", "acme"); return err },
		"redelivery of nothing":  func() error { return k.gh.Redeliver(1) },
		"proposal of nothing":    func() error { _, err := k.gh.Propose("acme/shop"); return err },
		"re-run of nothing":      func() error { return k.gh.RerunAll("acme/shop", "none") },
	} {
		if do() == nil {
			t.Errorf("%s: no error", name)
		}
	}
	k.took("installation.created")
}
