package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/neontwin/neontwin/internal/pglocal"
)

// TestInABrowser does what the sandbox tells its reader to do: open the page,
// press Merge, watch the check turn green without reloading anything, and
// follow its details. The browser must have nothing to complain about: neither
// page may break its own content security policy.
func TestInABrowser(t *testing.T) {
	t.Parallel()
	needed(t)
	b := openBrowser(t)
	w, err := build(t.Context(), commandLine{Addr: "127.0.0.1:0"}, io.Discard)
	t.Cleanup(func() { w.close(context.Background()) })
	if err != nil {
		t.Fatalf("%v\n%s", err, w.lastWords())
	}
	b.open(w.github.PageURL() + "/" + repository)
	b.run("window.before = true")
	b.click("form.merge button.primary")
	b.await("the answer to the form is shown", 30*time.Second, "return !window.before && document.readyState === 'complete'")
	// A page that is reloaded would forget this.
	b.run("window.neverReloaded = true")
	b.await("a check is queued or at work, or has ended", 30*time.Second, "return document.querySelectorAll('.check').length > 0")
	b.await("both checks are green", 90*time.Second,
		"return document.querySelectorAll('.check').length === 2 && document.querySelectorAll('.check.success').length === 2")
	b.await("the Twin is shown", 10*time.Second, "return document.body.innerText.includes('Production as of')")
	if b.run("return window.neverReloaded") != true {
		t.Error("the page was reloaded")
	}
	b.requireQuiet()

	details, _ := b.run("return document.querySelector('.check a').href").(string)
	if !strings.HasPrefix(details, w.serverURL+"/runs/") {
		t.Fatalf("the details are at %q", details)
	}
	b.open(details)
	b.await("the page of the run tells how it went", 10*time.Second,
		"return document.querySelector('.state').innerText.trim() === 'Synced' && document.title.startsWith('Synced: ')")
	b.requireQuiet()
	if wide := b.run("return document.documentElement.scrollWidth - document.documentElement.clientWidth"); wide != float64(0) {
		t.Errorf("the page of the run is %v pixels too wide", wide)
	}
}

// browser speaks the WebDriver protocol with a headless Chromium.
type browser struct {
	t       *testing.T
	session string // its address
}

// openBrowser starts a browser that ends with the test, and skips the test
// where there is none.
func openBrowser(t *testing.T) *browser {
	t.Helper()
	driver, err := exec.LookPath("chromedriver")
	if err != nil {
		t.Skip("SKIPPED: no chromedriver; apt-get install chromium-driver lets this test press the buttons in a browser")
	}
	port, err := pglocal.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "neontwin-browser-") //nolint:usetesting // a browser that ends late still writes there
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(context.Background(), driver, fmt.Sprintf("--port=%d", port))
	cmd.Env = append(os.Environ(), "TMPDIR="+dir, "HOME="+dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	b := &browser{t: t}
	t.Cleanup(func() {
		if b.session != "" {
			_, _ = b.call(context.Background(), http.MethodDelete, b.session, nil)
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = os.RemoveAll(dir)
	})
	origin := fmt.Sprintf("http://127.0.0.1:%d", port)
	ready := func() bool { _, err := b.call(t.Context(), http.MethodGet, origin+"/status", nil); return err == nil }
	for deadline := time.After(30 * time.Second); !ready(); {
		select {
		case <-deadline:
			t.Fatal("chromedriver does not answer")
		case <-time.After(50 * time.Millisecond):
		}
	}
	made, ok := b.must(http.MethodPost, origin+"/session", map[string]any{"capabilities": map[string]any{"alwaysMatch": map[string]any{
		"goog:loggingPrefs": map[string]string{"browser": "ALL"},
		"goog:chromeOptions": map[string]any{"args": []string{
			"--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
			"--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--user-data-dir=" + dir, "--window-size=1200,1600",
		}},
	}}}).(map[string]any)
	id, _ := made["sessionId"].(string)
	if !ok || id == "" {
		t.Fatalf("chromedriver made no session: %v", made)
	}
	b.session = origin + "/session/" + id
	return b
}

// call asks the driver for something and gives the value of its answer.
func (b *browser) call(ctx context.Context, method, address string, body any) (any, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	content, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	if method != http.MethodPost {
		content = nil
	}
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	var answer struct{ Value any }
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		return nil, errors.New(fmt.Sprint(answer.Value))
	}
	return answer.Value, nil
}

func (b *browser) must(method, address string, body any) any {
	b.t.Helper()
	v, err := b.call(b.t.Context(), method, address, body)
	if err != nil {
		b.t.Fatalf("%s %s: %v", method, address, err)
	}
	return v
}

func (b *browser) open(address string) {
	b.t.Helper()
	b.must(http.MethodPost, b.session+"/url", map[string]string{"url": address})
}

// click presses what a selector finds.
func (b *browser) click(selector string) {
	b.t.Helper()
	found := b.must(http.MethodPost, b.session+"/element", map[string]string{"using": "css selector", "value": selector})
	for _, id := range found.(map[string]any) { // its one key is a constant of the protocol
		b.must(http.MethodPost, fmt.Sprintf("%s/element/%v/click", b.session, id), struct{}{})
	}
}

// run runs a script in the page and gives what it returns.
func (b *browser) run(script string) any {
	b.t.Helper()
	return b.must(http.MethodPost, b.session+"/execute/sync", map[string]any{"script": script, "args": []any{}})
}

// await runs a script until it returns true.
func (b *browser) await(what string, within time.Duration, script string) {
	b.t.Helper()
	deadline := time.After(within)
	for b.run(script) != true {
		select {
		case <-deadline:
			b.t.Fatalf("waited %s in vain until %s; the page says:\n%v", within, what, b.run("return document.body.innerText"))
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// requireQuiet wants no error in the browser's log.
func (b *browser) requireQuiet() {
	b.t.Helper()
	entries, _ := b.must(http.MethodPost, b.session+"/se/log", map[string]string{"type": "browser"}).([]any)
	for _, e := range entries {
		if entry, _ := e.(map[string]any); entry["level"] == "SEVERE" {
			b.t.Errorf("the browser complains: %v", entry["message"])
		}
	}
}
