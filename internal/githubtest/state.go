package githubtest

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// state is everything that survives a restart.
type state struct {
	LastID        int64
	App           appState
	Accounts      map[string]*account // by login in lower case
	Installations map[int64]*Installation
	Repositories  map[int64]*repository
	OldNames      map[string]int64 // names that repositories had, in lower case
	Blobs         map[string][]byte
	Suites        map[int64]*suite
	Runs          map[int64]*CheckRun
	Deliveries    []*Delivery // oldest first
	Queue         []*message  // webhooks that were not sent yet
}

type appState struct {
	ID             int64
	Name, Slug     string
	KeyPEM         string
	Secret         string
	PreviousSecret string
	HookURL        string
	ContentType    string // json or form
	Permissions    map[string]string
	Events         []string
	CreatedAt      time.Time
}

type account struct {
	ID    int64
	Login string
	Type  string // User, Organization or Bot
}

// loadState reads the state file, or makes a state with a new App if there is
// none.
func loadState(o Options) (*state, error) {
	st := &state{}
	if o.StateFile != "" {
		raw, err := os.ReadFile(o.StateFile)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return nil, fmt.Errorf("read state: %w", err)
		default:
			if err := json.Unmarshal(raw, st); err != nil {
				return nil, fmt.Errorf("read state %s: %w", o.StateFile, err)
			}
			return st, nil
		}
	}
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	*st = state{
		LastID: 100_000,
		App: appState{
			ID: o.AppID, Name: o.AppName, Slug: slug(o.AppName),
			KeyPEM: key, Secret: rand.Text() + rand.Text(), ContentType: "json",
			Permissions: map[string]string{
				"metadata": "read", "checks": "write", "contents": "read", "pull_requests": "read",
			},
			Events:    []string{"check_run", "check_suite", "pull_request", "push", "repository"},
			CreatedAt: o.Now().UTC().Truncate(time.Second),
		},
		Accounts: map[string]*account{}, Installations: map[int64]*Installation{},
		Repositories: map[int64]*repository{}, OldNames: map[string]int64{},
		Blobs: map[string][]byte{}, Suites: map[int64]*suite{}, Runs: map[int64]*CheckRun{},
	}
	return st, nil
}

// save writes the state in one step: whoever reads the file sees the old or
// the new one, whole.
func (st *state) save(path string) error {
	if path == "" {
		return nil
	}
	raw, err := json.Marshal(st)
	if err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	return writeFile(path, raw)
}

func writeFile(path string, raw []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	tmp := path + ".new"
	if err := os.WriteFile(tmp, raw, 0o600); err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	if err := os.Rename(tmp, path); err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	return nil
}

// saveChanges writes the state file after each change; changes that come while
// it writes are written together.
func (s *Server) saveChanges(ctx context.Context) {
	if s.opts.StateFile == "" {
		return
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.dirty:
		}
		s.mu.Lock()
		raw, err := json.Marshal(s.st)
		s.mu.Unlock()
		if err == nil {
			err = writeFile(s.opts.StateFile, raw)
		}
		if err != nil {
			s.log.ErrorContext(ctx, "sandbox state not saved", "err", err)
		}
	}
}

// id returns a number that nothing else has: a repository's id is never also
// an installation's, so that code which confuses the two fails.
func (st *state) id() int64 {
	st.LastID++
	return st.LastID
}

// account returns the account of a login and makes it on first sight.
func (st *state) account(login, kind string) *account {
	k := strings.ToLower(login)
	a := st.Accounts[k]
	if a == nil {
		a = &account{ID: st.id(), Login: login, Type: kind}
		st.Accounts[k] = a
	}
	return a
}

func (st *state) bot() *account { return st.account(st.App.Slug+"[bot]", "Bot") }

// repository finds a repository by its present name.
func (st *state) repository(owner, name string) *repository {
	for _, r := range st.Repositories {
		if strings.EqualFold(r.Owner, owner) && strings.EqualFold(r.Name, name) {
			return r
		}
	}
	return nil
}

// named is repository for "owner/name", as an error that a caller can return.
func (st *state) named(fullName string) (*repository, error) {
	owner, name, _ := strings.Cut(fullName, "/")
	if r := st.repository(owner, name); r != nil {
		return r, nil
	}
	return nil, fmt.Errorf("find repository %q: there is none", fullName)
}

func slug(name string) string {
	return strings.Join(strings.FieldsFunc(strings.ToLower(name), func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9')
	}), "-")
}

func newKey() (string, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return "", fmt.Errorf("make App key: %w", err)
	}
	return string(pem.EncodeToMemory(&pem.Block{
		Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key),
	})), nil
}

func parseKey(text string) (*rsa.PrivateKey, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, errors.New("read App key: no PEM block")
	}
	key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("read App key: %w", err)
	}
	return key, nil
}
