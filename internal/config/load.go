package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/neontwin/neontwin/internal/twin"
)

// EnvName is the name that the environment's own source and target have in
// Sources and Targets.
const EnvName = "env"

// DefaultAdminAddr is where metrics and health are served unless ADMIN_ADDR
// says otherwise.
const DefaultAdminAddr = "127.0.0.1:9090"

// defaultNeonAPI is where Neon's API answers.
const defaultNeonAPI = "https://console.neon.tech/api/v2"

// Load reads the environment through getenv, the files it names through
// readFile, and says what role would lack. The error is an *Error with all
// that is wrong; the Config is then incomplete.
func Load(role Role, getenv func(string) string, readFile func(string) ([]byte, error)) (Config, error) {
	l := &loader{getenv: getenv, readFile: readFile}
	c := Config{Sources: map[string]Source{}, Targets: map[string]Target{}}
	l.database(&c, role)
	l.gitHub(&c.GitHub, role)
	c.NeonAPIURL = strings.TrimRight(l.text("NEON_API_URL", defaultNeonAPI, checkAPIURL), "/")
	l.server(&c)
	if key, _ := l.fileOr("NEONTWIN_MASK_KEY"); key != "" {
		if what := checkMaskKey(key); what != "" {
			l.wrong(l.origin("NEONTWIN_MASK_KEY"), what)
		}
		c.MaskKey = NewSecret(key)
	}
	l.file(&c)
	l.envTwin(&c)
	l.apart(&c)
	if len(l.problems) > 0 {
		return c, &Error{Problems: l.problems}
	}
	return c, nil
}

// loader reads values and collects problems.
type loader struct {
	getenv   func(string) string
	readFile func(string) ([]byte, error)
	problems []Problem
}

// environment is where a variable comes from.
const environment = "environment"

func (l *loader) wrong(name, what string) {
	p := Problem{Name: name, From: environment, What: what}
	if v := variable(name); v.Example != "" {
		p.Example = name + "=" + v.Example
	}
	l.problems = append(l.problems, p)
}

// text reads a variable; blank is unset.
func (l *loader) text(name, otherwise string, check func(string) string) string {
	value := strings.TrimSpace(l.getenv(name))
	if value == "" {
		return otherwise
	}
	if check != nil {
		if what := check(value); what != "" {
			l.wrong(name, what)
			return otherwise
		}
	}
	return value
}

// secret reads a variable whose value is hidden.
func (l *loader) secret(name string, check func(string) string) Secret {
	return NewSecret(l.text(name, "", check))
}

// fileOr reads NAME, or the file that NAME_FILE names. The second result says
// whether anything was given at all, be it wrong.
func (l *loader) fileOr(name string) (value string, given bool) {
	value = strings.TrimSpace(l.getenv(name))
	path := strings.TrimSpace(l.getenv(name + "_FILE"))
	switch {
	case value != "" && path != "":
		l.wrong(name, "is set twice: here and by "+name+"_FILE; set one of them")
		return "", true
	case path == "":
		return value, value != ""
	}
	b, err := l.readFile(path)
	if err != nil {
		l.wrong(name+"_FILE", unreadable(err))
		return "", true
	}
	if value = strings.TrimSpace(string(b)); value == "" {
		l.wrong(name+"_FILE", "names an empty file")
	}
	return value, true
}

// unreadable is why a file can't be read, without the path: that may be a
// secret which somebody put in the wrong place.
func unreadable(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "names a file that does not exist"
	case errors.Is(err, fs.ErrPermission):
		return "names a file that this user may not read"
	}
	return "names a file that can't be read"
}

// database settles where the control database is.
func (l *loader) database(c *Config, role Role) {
	c.Database = l.secret("DATABASE_URL", checkPostgresURL)
	given := l.given("DATABASE_URL")
	if !given && role != RoleAll {
		l.wrong("DATABASE_URL", "is not set; only the role all can bring a database of its own")
	}
	c.AutoMigrate = l.boolean("AUTO_MIGRATE", !given)
	c.DataDir = l.text("NEONTWIN_DATA_DIR", l.dataDir(), checkAbsolute)
	c.PostgresBin = l.text("NEONTWIN_PG_BIN", "", checkAbsolute)
}

// dataDir is where state goes that outlives a restart. As root it is not in
// the home folder: the private PostgreSQL runs as another user, who could not
// enter that.
func (l *loader) dataDir() string {
	if os.Geteuid() != 0 {
		if state := l.getenv("XDG_STATE_HOME"); filepath.IsAbs(state) {
			return filepath.Join(state, "neontwin")
		}
		if home := l.getenv("HOME"); filepath.IsAbs(home) {
			return filepath.Join(home, ".local", "state", "neontwin")
		}
	}
	return "/var/lib/neontwin"
}

func checkAbsolute(value string) string {
	if !filepath.IsAbs(value) {
		return "must be an absolute path"
	}
	return ""
}

// gitHub reads who we are to GitHub. To migrate, nobody needs to be anybody.
func (l *loader) gitHub(g *GitHub, role Role) {
	g.APIURL = strings.TrimRight(l.text("GITHUB_API_URL", "https://api.github.com", checkAPIURL), "/")
	needed := role != RoleMigrate
	if id := l.text("GITHUB_APP_ID", "", nil); id != "" {
		n, err := strconv.ParseInt(id, 10, 64)
		if err != nil || n <= 0 {
			l.wrong("GITHUB_APP_ID", "must be the App ID, a number, from the App's settings page (not its client id)")
		}
		g.AppID = n
	} else if needed {
		l.wrong("GITHUB_APP_ID", "is not set")
	}
	key, given := l.fileOr("GITHUB_PRIVATE_KEY")
	if key != "" {
		pem, what := privateKey(key)
		if what != "" {
			l.wrong(l.origin("GITHUB_PRIVATE_KEY"), what)
		}
		g.PrivateKey = NewSecret(pem)
	} else if needed && !given {
		l.wrong("GITHUB_PRIVATE_KEY", "is not set, nor is GITHUB_PRIVATE_KEY_FILE")
	}
	if g.WebhookSecret, given = l.webhookSecret("GITHUB_WEBHOOK_SECRET"); needed && !given {
		l.wrong("GITHUB_WEBHOOK_SECRET", "is not set, nor is GITHUB_WEBHOOK_SECRET_FILE")
	}
	g.WebhookSecretPrevious, _ = l.webhookSecret("GITHUB_WEBHOOK_SECRET_PREVIOUS")
}

func (l *loader) webhookSecret(name string) (Secret, bool) {
	value, given := l.fileOr(name)
	if value == "" {
		return Secret{}, given
	}
	if what := checkWebhookSecret(value); what != "" {
		l.wrong(l.origin(name), what)
		return Secret{}, true
	}
	return NewSecret(value), true
}

// origin is the variable that gave a value which fileOr has read.
func (l *loader) origin(name string) string {
	if l.given(name + "_FILE") {
		return name + "_FILE"
	}
	return name
}

// server reads how the process listens, logs, works and stops.
func (l *loader) server(c *Config) {
	c.ListenAddr = l.text("LISTEN_ADDR", ":8080", checkAddr)
	c.AdminAddr = l.text("ADMIN_ADDR", DefaultAdminAddr, checkAddr)
	if c.ListenAddr == c.AdminAddr && !strings.HasSuffix(c.ListenAddr, ":0") {
		l.wrong("ADMIN_ADDR", "is the same as LISTEN_ADDR; metrics must not be served in public")
	}
	c.PublicURL = strings.TrimRight(l.text("PUBLIC_URL", "", checkWebURL), "/")
	c.LogFormat = l.text("LOG_FORMAT", "", func(v string) string {
		if v != "json" && v != "text" {
			return "must be json or text"
		}
		return ""
	})
	c.SyncConcurrency = l.number("SYNC_CONCURRENCY", 4, 1, 100)
	c.ShutdownDrain = l.duration("SHUTDOWN_DRAIN", 240*time.Second, time.Second)
	c.LeaseTTL = l.duration("LEASE_TTL", 3*time.Minute, time.Second)
	c.ProgressEvery = l.duration("PROGRESS_EVERY", 30*time.Second, 100*time.Millisecond)
	c.CatchUpEvery = l.duration("CATCH_UP_EVERY", 5*time.Minute, 100*time.Millisecond)
}

func (l *loader) boolean(name string, otherwise bool) bool {
	value := l.text(name, "", nil)
	if value == "" {
		return otherwise
	}
	b, err := strconv.ParseBool(value)
	if err != nil {
		l.wrong(name, "must be true or false")
	}
	return b
}

func (l *loader) number(name string, otherwise, least, most int) int {
	value := l.text(name, "", nil)
	if value == "" {
		return otherwise
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < least || n > most {
		l.wrong(name, "must be a whole number from "+strconv.Itoa(least)+" to "+strconv.Itoa(most))
		return otherwise
	}
	return n
}

func (l *loader) duration(name string, otherwise, least time.Duration) time.Duration {
	value := l.text(name, "", nil)
	if value == "" {
		return otherwise
	}
	d, err := time.ParseDuration(value)
	if err != nil || d < least {
		l.wrong(name, "must be a duration with its unit, at least "+least.String())
		return otherwise
	}
	return d
}

// envTwin reads the one source and Twin that need no file. TWIN_REPOSITORY
// turns it on: the other names may be set for the file's sake.
func (l *loader) envTwin(c *Config) {
	if !l.given("TWIN_REPOSITORY") {
		if l.given("NEONTWIN_CONFIG") {
			return
		}
		for _, name := range []string{"TWIN_NAME", "SOURCE_DATABASE_URL", "TWIN_DATABASE_URL", "NEON_API_KEY", "NEON_PROJECT_ID", "NEON_BRANCH", "NEON_DATABASE"} {
			if l.given(name) {
				l.wrong("TWIN_REPOSITORY", "is not set, but "+name+" is")
				return
			}
		}
		return
	}
	e := &EnvTwin{Source: EnvName, Target: EnvName}
	e.Repository = l.text("TWIN_REPOSITORY", "", checkRepository)
	e.Name = l.text("TWIN_NAME", "staging", checkTwinName)
	source := Source{URL: l.need("SOURCE_DATABASE_URL", checkPostgresURL), Repositories: []string{e.Repository}, AllowSQL: true}
	target := Target{Publish: twin.Swap, Repositories: []string{e.Repository}}
	if l.given("TWIN_DATABASE_URL") {
		target.URL = l.secret("TWIN_DATABASE_URL", checkPostgresURL)
		l.notBoth()
	} else if l.given("NEON_API_KEY") || l.given("NEON_PROJECT_ID") || l.given("NEON_BRANCH") || l.given("NEON_DATABASE") {
		target.Neon = &Neon{
			APIKey:   l.need("NEON_API_KEY", checkNotLong),
			Project:  l.need("NEON_PROJECT_ID", checkNeonProject).Reveal(),
			Branch:   l.need("NEON_BRANCH", checkNotLong).Reveal(),
			Database: l.need("NEON_DATABASE", checkNotLong).Reveal(),
		}
	} else {
		l.wrong("TWIN_DATABASE_URL", "is not set, nor are NEON_API_KEY, NEON_PROJECT_ID, NEON_BRANCH and NEON_DATABASE")
	}
	if _, taken := c.Sources[EnvName]; taken {
		l.wrong("TWIN_REPOSITORY", "describes a source named env, and so does the file; rename that one")
	}
	if _, taken := c.Targets[EnvName]; taken {
		l.wrong("TWIN_REPOSITORY", "describes a target named env, and so does the file; rename that one")
	}
	c.Sources[EnvName], c.Targets[EnvName], c.EnvTwin = source, target, e
}

// notBoth refuses a Twin that is said to be in two places. A Neon key alone
// may be there for the file.
func (l *loader) notBoth() {
	names := []string{"NEON_PROJECT_ID", "NEON_BRANCH", "NEON_DATABASE"}
	if !l.given("NEONTWIN_CONFIG") {
		names = append(names, "NEON_API_KEY")
	}
	for _, name := range names {
		if l.given(name) {
			l.wrong("TWIN_DATABASE_URL", "is set, and so is "+name+"; the Twin is either on any Postgres or on Neon")
			return
		}
	}
}

// need is secret for a name that must be set.
func (l *loader) need(name string, check func(string) string) Secret {
	if !l.given(name) {
		l.wrong(name, "is not set")
	}
	return l.secret(name, check)
}

func (l *loader) given(name string) bool { return strings.TrimSpace(l.getenv(name)) != "" }
