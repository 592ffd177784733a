package config_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/neontwin/neontwin/internal/config"
	"github.com/neontwin/neontwin/internal/twin"
)

const (
	webhookSecret = "0123456789abcdef0123456789abcdef-hook"
	controlURL    = "postgres://neontwin:control-pass@db.example.com/neontwin"
)

// privateKey is an App's key, made once.
var privateKey = sync.OnceValue(func() string {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
})

// base is the least that every role accepts.
func base() map[string]string {
	return map[string]string{
		"DATABASE_URL": controlURL, "GITHUB_APP_ID": "123456",
		"GITHUB_PRIVATE_KEY": privateKey(), "GITHUB_WEBHOOK_SECRET": webhookSecret, "HOME": "/home/ada",
	}
}

func with(env map[string]string, pairs ...string) map[string]string {
	env = maps.Clone(env)
	for i := 0; i < len(pairs); i += 2 {
		env[pairs[i]] = pairs[i+1]
	}
	return env
}

func load(role config.Role, env, files map[string]string) (config.Config, error) {
	return config.Load(role, func(name string) string { return env[name] }, func(path string) ([]byte, error) {
		text, ok := files[path]
		if !ok {
			return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
		}
		return []byte(text), nil
	})
}

// problems gives what Load complains about as "NAME what".
func problems(t *testing.T, err error) []string {
	t.Helper()
	var e *config.Error
	if err == nil {
		return nil
	}
	if !errors.As(err, &e) {
		t.Fatalf("%T is no *config.Error: %v", err, err)
	}
	var out []string
	for _, p := range e.Problems {
		if p.From == "" || p.What == "" || p.Name == "" {
			t.Errorf("incomplete problem: %+v", p)
		}
		out = append(out, p.Name+" "+p.What)
	}
	return out
}

// expect compares problems with prefixes of what they should be.
func expect(t *testing.T, err error, want ...string) {
	t.Helper()
	got := problems(t, err)
	ok := len(got) == len(want)
	for i := 0; ok && i < len(want); i++ {
		ok = strings.HasPrefix(got[i], want[i])
	}
	if !ok {
		t.Errorf("problems:\n  %s\nwant:\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	c, err := load(config.RoleWeb, base(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.ListenAddr != ":8080" || c.AdminAddr != "127.0.0.1:9090" || c.PublicURL != "" || c.LogFormat != "" {
		t.Errorf("addresses: %+v", c)
	}
	if c.SyncConcurrency != 4 || c.ShutdownDrain != 240*time.Second || c.LeaseTTL != 3*time.Minute || c.ProgressEvery != 30*time.Second || c.CatchUpEvery != 5*time.Minute {
		t.Errorf("numbers: %+v", c)
	}
	if c.GitHub.APIURL != "https://api.github.com" || c.NeonAPIURL != "https://console.neon.tech/api/v2" {
		t.Errorf("APIs: %+v", c)
	}
	if c.AutoMigrate || c.EnvTwin != nil || len(c.Sources)+len(c.Targets) != 0 {
		t.Errorf("nothing was asked for: %+v", c)
	}
	if c.Database.Reveal() != controlURL || c.GitHub.AppID != 123456 || c.GitHub.PrivateKey.Reveal() == "" {
		t.Error("what was set did not arrive")
	}
}

func TestRoles(t *testing.T) {
	t.Parallel()
	gitHub := []string{"GITHUB_APP_ID is not set", "GITHUB_PRIVATE_KEY is not set", "GITHUB_WEBHOOK_SECRET is not set"}
	for role, want := range map[config.Role][]string{
		config.RoleAll:     gitHub,
		config.RoleWeb:     append([]string{"DATABASE_URL is not set"}, gitHub...),
		config.RoleWorker:  append([]string{"DATABASE_URL is not set"}, gitHub...),
		config.RoleMigrate: {"DATABASE_URL is not set"},
	} {
		t.Run(string(role), func(t *testing.T) {
			t.Parallel()
			c, err := load(role, nil, nil)
			expect(t, err, want...)
			if !c.AutoMigrate {
				t.Error("a private database must be brought up to date")
			}
			if !role.Valid() {
				t.Error("the role is not valid")
			}
		})
	}
	if config.Role("both").Valid() {
		t.Error("a role that does not exist is valid")
	}
}

func TestEnvironmentMistakes(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		set   []string
		files map[string]string
		want  []string
	}{
		"key=value address": {set: []string{"DATABASE_URL", "host=db dbname=x password=hunter2"}, want: []string{"DATABASE_URL is a key=value connection string"}},
		"pooled address":    {set: []string{"DATABASE_URL", "postgres://u:p@ep-x-pooler.eu.aws.neon.tech/db"}, want: []string{"DATABASE_URL names a pooled host"}},
		"second host pooled": {
			set:  []string{"DATABASE_URL", "postgres://u:p@ep-x.neon.tech,ep-x-pooler.neon.tech/db"},
			want: []string{"DATABASE_URL names a pooled host"},
		},
		"no database": {set: []string{"DATABASE_URL", "postgres://u:p@host/"}, want: []string{"DATABASE_URL names no database"}},
		"no host":     {set: []string{"DATABASE_URL", "postgres:///db"}, want: []string{"DATABASE_URL names no host"}},
		"not postgres": {
			set:  []string{"DATABASE_URL", "mysql://u:p@host/db"},
			want: []string{"DATABASE_URL must begin with postgres://"},
		},
		"bad escape":   {set: []string{"DATABASE_URL", "postgres://u:p%zz@host/db"}, want: []string{"DATABASE_URL can't be parsed"}},
		"no url":       {set: []string{"DATABASE_URL", "db.example.com"}, want: []string{"DATABASE_URL is no URL"}},
		"client id":    {set: []string{"GITHUB_APP_ID", "Iv1.abc"}, want: []string{"GITHUB_APP_ID must be the App ID"}},
		"key a path":   {set: []string{"GITHUB_PRIVATE_KEY", "/etc/key.pem"}, want: []string{"GITHUB_PRIVATE_KEY is neither PEM"}},
		"key cut off":  {set: []string{"GITHUB_PRIVATE_KEY", "-----BEGIN RSA PRIVATE KEY-----\nabc"}, want: []string{"GITHUB_PRIVATE_KEY is cut off"}},
		"key is a key": {set: []string{"GITHUB_PRIVATE_KEY", "-----BEGIN X-----\nYWJj\n-----END X-----"}, want: []string{"GITHUB_PRIVATE_KEY is no RSA"}},
		"key twice":    {set: []string{"GITHUB_PRIVATE_KEY_FILE", "/k"}, want: []string{"GITHUB_PRIVATE_KEY is set twice"}},
		"key file missing": {
			set:  []string{"GITHUB_PRIVATE_KEY", "", "GITHUB_PRIVATE_KEY_FILE", "/k"},
			want: []string{"GITHUB_PRIVATE_KEY_FILE names a file that does not exist"},
		},
		"key file empty": {
			set: []string{"GITHUB_PRIVATE_KEY", "", "GITHUB_PRIVATE_KEY_FILE", "/k"}, files: map[string]string{"/k": "\n"},
			want: []string{"GITHUB_PRIVATE_KEY_FILE names an empty file"},
		},
		"key file wrong": {
			set: []string{"GITHUB_PRIVATE_KEY", "", "GITHUB_PRIVATE_KEY_FILE", "/k"}, files: map[string]string{"/k": "nonsense"},
			want: []string{"GITHUB_PRIVATE_KEY_FILE is neither PEM"},
		},
		"short secret": {
			set:  []string{"GITHUB_WEBHOOK_SECRET", "short", "GITHUB_WEBHOOK_SECRET_PREVIOUS", "short"},
			want: []string{"GITHUB_WEBHOOK_SECRET must have at least 32", "GITHUB_WEBHOOK_SECRET_PREVIOUS must have at least 32"},
		},
		"clear API": {
			set:  []string{"GITHUB_API_URL", "http://github.example.com", "NEON_API_URL", "console.neon.tech"},
			want: []string{"GITHUB_API_URL must be https", "NEON_API_URL must be an absolute"},
		},
		"credentials in url": {set: []string{"PUBLIC_URL", "https://u:p@example.com"}, want: []string{"PUBLIC_URL must have no user"}},
		"relative url":       {set: []string{"PUBLIC_URL", "/twins"}, want: []string{"PUBLIC_URL must be an absolute"}},
		"addresses": {
			set:  []string{"LISTEN_ADDR", "8080", "ADMIN_ADDR", "localhost:99999"},
			want: []string{"LISTEN_ADDR must be host:port", "ADMIN_ADDR must end in a port"},
		},
		"same address": {set: []string{"LISTEN_ADDR", ":9090", "ADMIN_ADDR", ":9090"}, want: []string{"ADMIN_ADDR is the same"}},
		"numbers": {
			set: []string{"SYNC_CONCURRENCY", "0", "SHUTDOWN_DRAIN", "0", "LEASE_TTL", "3", "PROGRESS_EVERY", "1ms", "CATCH_UP_EVERY", "1ms", "AUTO_MIGRATE", "yes", "LOG_FORMAT", "xml"},
			want: []string{
				"AUTO_MIGRATE must be true", "LOG_FORMAT must be", "SYNC_CONCURRENCY must be",
				"SHUTDOWN_DRAIN must be", "LEASE_TTL must be", "PROGRESS_EVERY must be", "CATCH_UP_EVERY must be",
			},
		},
		"relative folder": {set: []string{"NEONTWIN_DATA_DIR", "data"}, want: []string{"NEONTWIN_DATA_DIR must be an absolute path"}},
		"file missing":    {set: []string{"NEONTWIN_CONFIG", "/none.yml"}, want: []string{"NEONTWIN_CONFIG names a file that does not exist"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := load(config.RoleWorker, with(base(), tt.set...), tt.files)
			expect(t, err, tt.want...)
		})
	}
}

func TestPrivateKeyForms(t *testing.T) {
	t.Parallel()
	block, _ := pem.Decode([]byte(privateKey()))
	key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8 := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	oneLine := strings.ReplaceAll(strings.TrimSpace(privateKey()), "\n", `\n`)
	for name, value := range map[string]string{
		"pem": privateKey(), "pkcs8": pkcs8, "base64": base64.StdEncoding.EncodeToString([]byte(privateKey())), "one line": oneLine,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, env := range []map[string]string{
				with(base(), "GITHUB_PRIVATE_KEY", value),
				with(base(), "GITHUB_PRIVATE_KEY", "", "GITHUB_PRIVATE_KEY_FILE", "/key"),
			} {
				c, err := load(config.RoleWeb, env, map[string]string{"/key": value + "\n"})
				if err != nil {
					t.Fatal(err)
				}
				if b, _ := pem.Decode([]byte(c.GitHub.PrivateKey.Reveal())); b == nil {
					t.Error("the key is not PEM")
				}
			}
		})
	}
}

func TestSecretFilesLoseTheirNewline(t *testing.T) {
	t.Parallel()
	env := with(base(), "GITHUB_WEBHOOK_SECRET", "", "GITHUB_WEBHOOK_SECRET_FILE", "/new", "GITHUB_WEBHOOK_SECRET_PREVIOUS_FILE", "/old")
	c, err := load(config.RoleWeb, env, map[string]string{"/new": webhookSecret + "\n", "/old": webhookSecret + "-old\n"})
	if err != nil {
		t.Fatal(err)
	}
	if c.GitHub.WebhookSecret.Reveal() != webhookSecret || c.GitHub.WebhookSecretPrevious.Reveal() != webhookSecret+"-old" {
		t.Error("the secrets differ from what the files hold")
	}
}

func TestEnvTwin(t *testing.T) {
	t.Parallel()
	const source, target = "postgres://r:source-pass@prod/shop", "postgres://w:target-pass@twin/shop"
	neon := []string{"NEON_API_KEY", "napi_0123", "NEON_PROJECT_ID", "late-frost-1", "NEON_BRANCH", "twin", "NEON_DATABASE", "shop"}
	tests := map[string]struct {
		set  []string
		want []string
	}{
		"postgres":        {set: []string{"TWIN_REPOSITORY", "acme/shop", "SOURCE_DATABASE_URL", source, "TWIN_DATABASE_URL", target}},
		"neon":            {set: append([]string{"TWIN_REPOSITORY", "acme/shop", "SOURCE_DATABASE_URL", source}, neon...)},
		"no repository":   {set: []string{"SOURCE_DATABASE_URL", source}, want: []string{"TWIN_REPOSITORY is not set, but SOURCE_DATABASE_URL is"}},
		"repository only": {set: []string{"TWIN_REPOSITORY", "acme/shop"}, want: []string{"SOURCE_DATABASE_URL is not set", "TWIN_DATABASE_URL is not set, nor are NEON"}},
		"bad repository": {
			set:  []string{"TWIN_REPOSITORY", "https://github.com/acme/shop", "SOURCE_DATABASE_URL", source, "TWIN_DATABASE_URL", target},
			want: []string{"TWIN_REPOSITORY must be a repository as owner/name"},
		},
		"bad name": {
			set:  []string{"TWIN_REPOSITORY", "acme/shop", "TWIN_NAME", "configuration", "SOURCE_DATABASE_URL", source, "TWIN_DATABASE_URL", target},
			want: []string{"TWIN_NAME must be"},
		},
		"both": {
			set:  append([]string{"TWIN_REPOSITORY", "acme/shop", "SOURCE_DATABASE_URL", source, "TWIN_DATABASE_URL", target}, neon...),
			want: []string{"TWIN_DATABASE_URL is set, and so is NEON_PROJECT_ID"},
		},
		"neon in part": {
			set:  []string{"TWIN_REPOSITORY", "acme/shop", "SOURCE_DATABASE_URL", source, "NEON_API_KEY", "napi_0123"},
			want: []string{"NEON_PROJECT_ID is not set", "NEON_BRANCH is not set", "NEON_DATABASE is not set"},
		},
		"pooled source": {
			set:  []string{"TWIN_REPOSITORY", "acme/shop", "SOURCE_DATABASE_URL", "postgres://u:p@a-pooler.b/c", "TWIN_DATABASE_URL", target},
			want: []string{"SOURCE_DATABASE_URL names a pooled host"},
		},
		"twin is the source": {
			set:  []string{"TWIN_REPOSITORY", "acme/shop", "SOURCE_DATABASE_URL", source, "TWIN_DATABASE_URL", "postgres://w@PROD:5432/shop"},
			want: []string{"TWIN_DATABASE_URL is the same database as source env"},
		},
		"twin is the control database": {
			set:  []string{"TWIN_REPOSITORY", "acme/shop", "SOURCE_DATABASE_URL", source, "TWIN_DATABASE_URL", controlURL},
			want: []string{"TWIN_DATABASE_URL is the same database as the control database"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := load(config.RoleWorker, with(base(), tt.set...), nil)
			expect(t, err, tt.want...)
			if err != nil {
				return
			}
			e := c.EnvTwin
			if e == nil || e.Repository != "acme/shop" || e.Name != "staging" {
				t.Fatalf("EnvTwin: %+v", e)
			}
			from, to := c.Sources[e.Source], c.Targets[e.Target]
			if from.URL.Reveal() != source || !slices.Equal(from.Repositories, []string{"acme/shop"}) || !from.AllowSQL {
				t.Errorf("source: %+v", from)
			}
			if to.Publish != twin.Swap || !slices.Equal(to.Repositories, from.Repositories) || to.Adopt || (to.Neon == nil) == to.URL.IsZero() {
				t.Errorf("target: %+v", to)
			}
		})
	}
}

// All that is read must be listed, and all that is listed must be read.
func TestVariablesAreWhatIsRead(t *testing.T) {
	t.Parallel()
	read := map[string]bool{}
	env := with(base(), "TWIN_REPOSITORY", "acme/shop")
	_, err := config.Load(config.RoleWeb, func(name string) string { read[name] = true; return env[name] }, nil)
	if err == nil {
		t.Error("half a Twin was accepted")
	}
	for _, foreign := range []string{"HOME", "XDG_STATE_HOME"} {
		delete(read, foreign)
	}
	for _, v := range config.Variables() {
		if !read[v.Name] {
			t.Errorf("%s is listed but not read", v.Name)
		}
		if v.About == "" || v.Example == "" {
			t.Errorf("%s is not explained", v.Name)
		}
		delete(read, v.Name)
	}
	for name := range read {
		t.Errorf("%s is read but not listed", name)
	}
}

func TestSecretsAreNotShown(t *testing.T) {
	t.Parallel()
	const secret = "hunter2-hunter2"
	type holder struct {
		Seen   config.Secret
		hidden config.Secret
	}
	s := config.NewSecret(secret)
	for _, v := range []any{s, &s, holder{s, s}, &holder{s, s}, []config.Secret{s}, map[string]config.Secret{"k": s}} {
		var all strings.Builder
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			fmt.Fprintf(&all, verb+"\n", v)
		}
		j, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		y, err := yaml.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		var logs bytes.Buffer
		slog.New(slog.NewJSONHandler(&logs, nil)).InfoContext(t.Context(), "x", "v", v)
		slog.New(slog.NewTextHandler(&logs, nil)).InfoContext(t.Context(), "x", "v", v)
		fmt.Fprintf(&all, "%s\n%s\n%s\n%v", j, y, logs.String(), fmt.Errorf("use %v: %w", v, errors.New("x")))
		text := all.String()
		if strings.Contains(text, secret) || strings.Contains(text, fmt.Sprintf("%x", secret)) {
			t.Errorf("%T shows its secret:\n%s", v, text)
		}
		if !strings.Contains(text, "[redacted]") {
			t.Errorf("%T does not say that something is hidden:\n%s", v, text)
		}
	}
	if (holder{hidden: s}).hidden.Reveal() != secret || s.String() != "[redacted]" {
		t.Error("Reveal or String is wrong")
	}
	if none := config.NewSecret(""); !none.IsZero() || none.Reveal() != "" || none.String() != "[not set]" {
		t.Error("the zero Secret is wrong")
	}
}

// Whatever is set, and whichever name it is set under, it comes back in no
// rendering of the Config and in no error.
func TestNothingSetIsRepeated(t *testing.T) {
	t.Parallel()
	values := []string{
		"sw0rdfish", "postgres://u:sw0rdfish@host", "postgres://u:sw0rdfish@h/db", "host=h password=sw0rdfish",
		"postgres://u:sw0rd%zzfish:sw0rdfish@h:99999999/db", "-----BEGIN sw0rdfish-----", "https://sw0rdfish@example.com/?sw0rdfish",
		"${sw0rdfish", strings.Repeat("sw0rdfish", 10),
	}
	for _, v := range config.Variables() {
		for _, value := range values {
			env := with(base(), "TWIN_REPOSITORY", "acme/shop")
			env[v.Name] = value
			files := map[string]string{}
			if strings.HasSuffix(v.Name, "_FILE") {
				files[value] = value
			}
			c, err := load(config.RoleWorker, env, files)
			if err != nil && strings.Contains(err.Error(), "sw0rd") {
				t.Errorf("%s=%s: %v", v.Name, value, err)
			}
			if !secretName(v.Name) {
				continue
			}
			j, jerr := json.Marshal(c)
			if text := fmt.Sprintf("%v %+v %#v %s %v", c, c, c, j, jerr); strings.Contains(text, "sw0rd") {
				t.Errorf("%s=%s is shown: %s", v.Name, value, text)
			}
		}
	}
}

func secretName(name string) bool {
	for _, part := range []string{"DATABASE_URL", "KEY", "SECRET"} {
		if strings.Contains(name, part) {
			return true
		}
	}
	return false
}

func TestDataDir(t *testing.T) {
	t.Parallel()
	c, err := load(config.RoleAll, with(base(), "NEONTWIN_DATA_DIR", "/srv/twin"), nil)
	if err != nil || c.DataDir != "/srv/twin" {
		t.Errorf("%q, %v", c.DataDir, err)
	}
	c, err = load(config.RoleAll, base(), nil)
	if err != nil || (c.DataDir != "/var/lib/neontwin" && c.DataDir != "/home/ada/.local/state/neontwin") {
		t.Errorf("%q, %v", c.DataDir, err)
	}
}
