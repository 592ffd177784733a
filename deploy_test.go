package neontwin_test

import (
	"go/ast"
	"go/parser"
	"net"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pelletier/go-toml/v2"

	"github.com/neontwin/neontwin/internal/config"
)

// fly is what this test reads of fly.toml.
type fly struct {
	App         string `toml:"app"`
	Region      string `toml:"primary_region"`
	KillSignal  string `toml:"kill_signal"`
	KillTimeout int    `toml:"kill_timeout"`
	Build       struct {
		Dockerfile string `toml:"dockerfile"`
	} `toml:"build"`
	Deploy struct {
		ReleaseCommand string `toml:"release_command"`
		Timeout        string `toml:"release_command_timeout"`
		Strategy       string `toml:"strategy"`
	} `toml:"deploy"`
	Env       map[string]string `toml:"env"`
	Processes map[string]string `toml:"processes"`
	HTTP      struct {
		Processes   []string   `toml:"processes"`
		Port        int        `toml:"internal_port"`
		ForceHTTPS  bool       `toml:"force_https"`
		AutoStop    string     `toml:"auto_stop_machines"`
		MinMachines int        `toml:"min_machines_running"`
		Checks      []flyCheck `toml:"checks"`
	} `toml:"http_service"`
	Checks  map[string]flyCheck `toml:"checks"`
	Metrics []struct {
		Processes []string `toml:"processes"`
		Port      int      `toml:"port"`
		Path      string   `toml:"path"`
	} `toml:"metrics"`
	Restart []struct {
		Policy string `toml:"policy"`
	} `toml:"restart"`
	VM []struct {
		Processes []string `toml:"processes"`
		Size      string   `toml:"size"`
		Memory    string   `toml:"memory"`
	} `toml:"vm"`
}

type flyCheck struct {
	Processes []string `toml:"processes"`
	Type      string   `toml:"type"`
	Method    string   `toml:"method"`
	Port      int      `toml:"port"`
	Path      string   `toml:"path"`
	Interval  string   `toml:"interval"`
	Timeout   string   `toml:"timeout"`
	Grace     string   `toml:"grace_period"`
}

// readFly parses fly.toml strictly: a misspelled key would be ignored there.
func readFly(t *testing.T) fly {
	t.Helper()
	f, err := os.Open("fly.toml")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var c fly
	if err := toml.NewDecoder(f).DisallowUnknownFields().Decode(&c); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestFlyProcessesAreCommands(t *testing.T) {
	t.Parallel()
	c := readFly(t)
	commands := subcommands(t)
	if len(c.Processes) != 2 {
		t.Errorf("processes: %v", c.Processes)
	}
	for name, line := range c.Processes {
		words := strings.Fields(line)
		if words[0] != "serve" || !commands[words[0]] {
			t.Errorf("process %s: %q is no command of the server", name, words[0])
		}
		if role, _ := strings.CutPrefix(words[len(words)-1], "--role="); role != name || !config.Role(role).Valid() {
			t.Errorf("process %s has the role %q", name, role)
		}
	}
	if release := c.Deploy.ReleaseCommand; release != "migrate" || !commands[release] {
		t.Errorf("release command %q", release)
	}
}

// subcommands reads the commands of the server out of its command line's
// struct: fields with a cmd tag.
func subcommands(t *testing.T) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	for _, s := range sources(t, parser.SkipObjectResolution) {
		if s.pkg != "cmd/server" || s.test {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			field, ok := n.(*ast.Field)
			if !ok || field.Tag == nil || len(field.Names) == 0 {
				return true
			}
			tag, err := strconv.Unquote(field.Tag.Value)
			if _, is := reflect.StructTag(tag).Lookup("cmd"); err == nil && is {
				out[strings.ToLower(field.Names[0].Name)] = true
			}
			return true
		})
	}
	return out
}

// A worker that is told to stop drains, then cleans up, then is killed.
func TestFlyLeavesTimeToStop(t *testing.T) {
	t.Parallel()
	c := readFly(t)
	drain, err := time.ParseDuration(c.Env["SHUTDOWN_DRAIN"])
	if err != nil {
		t.Fatal(err)
	}
	const cleanUp, most = 40 * time.Second, 300
	if c.KillTimeout > most || drain+cleanUp > time.Duration(c.KillTimeout)*time.Second {
		t.Errorf("kill_timeout %d s is above %d or leaves no time after %s", c.KillTimeout, most, drain)
	}
	if c.KillSignal != "SIGTERM" {
		t.Errorf("kill_signal %q", c.KillSignal)
	}
}

func TestFlyEnvironmentIsAccepted(t *testing.T) {
	t.Parallel()
	c := readFly(t)
	for name := range c.Env {
		if !slices.ContainsFunc(config.Variables(), func(v config.Variable) bool { return v.Name == name }) {
			t.Errorf("env: nobody reads %s", name)
		}
		if strings.Contains(name, "SECRET") || strings.Contains(name, "KEY") || strings.HasSuffix(name, "DATABASE_URL") {
			t.Errorf("env: %s is a secret", name)
		}
	}
	env := map[string]string{"DATABASE_URL": "postgres://u@h/d"}
	for k, v := range c.Env {
		env[k] = v
	}
	settings, err := config.Load(config.RoleMigrate, func(name string) string { return env[name] }, os.ReadFile)
	if err != nil {
		t.Fatal(err)
	}
	host, port, err := net.SplitHostPort(settings.AdminAddr)
	if err != nil || host != "0.0.0.0" {
		t.Errorf("Fly's checks can't reach ADMIN_ADDR %s", settings.AdminAddr)
	}
	worker := c.Checks["worker"]
	if strconv.Itoa(worker.Port) != port || worker.Path != "/livez" || worker.Type != "http" || !slices.Equal(worker.Processes, []string{"worker"}) {
		t.Errorf("check of the worker: %+v", worker)
	}
	for _, m := range c.Metrics {
		if strconv.Itoa(m.Port) != port || m.Path != "/metrics" || len(m.Processes) != 2 {
			t.Errorf("metrics: %+v", m)
		}
	}
	if _, listen, _ := net.SplitHostPort(settings.ListenAddr); listen != strconv.Itoa(c.HTTP.Port) {
		t.Errorf("internal_port %d is not where the server listens, %s", c.HTTP.Port, listen)
	}
}

func TestFlyAnswersGitHub(t *testing.T) {
	t.Parallel()
	c := readFly(t)
	if c.HTTP.AutoStop != "off" || c.HTTP.MinMachines < 1 || !slices.Equal(c.HTTP.Processes, []string{"web"}) || !c.HTTP.ForceHTTPS {
		t.Errorf("http_service: %+v", c.HTTP)
	}
	if len(c.HTTP.Checks) != 1 || c.HTTP.Checks[0].Path != "/readyz" {
		t.Errorf("checks of web: %+v", c.HTTP.Checks)
	}
	if len(c.Restart) != 1 || c.Restart[0].Policy != "always" {
		t.Errorf("restart: %+v", c.Restart)
	}
	if len(c.VM) != 2 || len(c.Metrics) != 1 {
		t.Errorf("vm: %+v, metrics: %+v", c.VM, c.Metrics)
	}
	if _, err := os.Stat(c.Build.Dockerfile); err != nil {
		t.Error(err)
	}
}

// instruction is one line of a Dockerfile, continuation lines joined.
type instruction struct{ name, rest string }

func dockerfile(t *testing.T) []instruction {
	t.Helper()
	text, err := os.ReadFile("Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	joined := strings.ReplaceAll(string(text), "\\\n", " ")
	var out []instruction
	for line := range strings.Lines(joined) {
		line = strings.Join(strings.Fields(line), " ")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, rest, _ := strings.Cut(line, " ")
		out = append(out, instruction{name, rest})
	}
	return out
}

func TestDockerfile(t *testing.T) {
	t.Parallel()
	all := dockerfile(t)
	last := 0 // the instruction that begins the image that is kept
	args := map[string]string{}
	for i, in := range all {
		switch in.name {
		case "FROM":
			last = i
		case "ARG":
			if name, value, ok := strings.Cut(in.rest, "="); ok {
				args[name] = value
			}
		}
	}
	final := all[last:]
	rest := func(name string) string {
		for _, in := range final {
			if in.name == name {
				return in.rest
			}
		}
		t.Errorf("the image has no %s", name)
		return ""
	}
	if rest("USER") != "65532:65532" {
		t.Errorf("USER %s", rest("USER"))
	}
	for _, in := range final[slices.IndexFunc(final, func(in instruction) bool { return in.name == "USER" }):] {
		if in.name == "RUN" {
			t.Errorf("runs after USER: %s", in.rest)
		}
	}
	commands := subcommands(t)
	if rest("ENTRYPOINT") != `["server"]` || !strings.HasSuffix(rest("HEALTHCHECK"), `CMD ["server", "healthcheck"]`) || !commands["healthcheck"] {
		t.Errorf("ENTRYPOINT %s, HEALTHCHECK %s", rest("ENTRYPOINT"), rest("HEALTHCHECK"))
	}
	if rest("CMD") != `["serve", "--role=all"]` {
		t.Errorf("CMD %s", rest("CMD"))
	}
	for _, label := range []string{"title", "source", "licenses", "version"} {
		if !strings.Contains(rest("LABEL"), "org.opencontainers.image."+label+"=") {
			t.Errorf("no label %s", label)
		}
	}
	if major, err := strconv.Atoi(args["POSTGRES_MAJOR"]); err != nil || major < newestPostgres {
		t.Errorf("client of PostgreSQL %s; servers of %d exist, and an older pg_dump refuses them", args["POSTGRES_MAJOR"], newestPostgres)
	}
	if !strings.Contains(rest("RUN"), "postgresql-client-${POSTGRES_MAJOR}") {
		t.Error("the client is not installed by POSTGRES_MAJOR")
	}
	mod, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if m := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindSubmatch(mod); m == nil || string(m[1]) != args["GO_VERSION"] {
		t.Errorf("built by Go %s, go.mod asks for %s", args["GO_VERSION"], m)
	}
	for _, in := range all {
		if regexp.MustCompile(`(?i)(password|secret|token|private_key)=`).MatchString(in.rest) {
			t.Errorf("%s holds a secret", in.name)
		}
	}
}

// newestPostgres is the newest major version that a source may have.
const newestPostgres = 18
