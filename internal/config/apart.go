package config

import (
	"maps"
	"slices"
)

// apart refuses a database with two roles to play. It compares addresses, so
// it misses what goes by two names; each sync looks again at the servers.
func (l *loader) apart(c *Config) {
	seen := map[string]string{}
	if at := place(c.Database.Reveal()); at != "" {
		seen[at] = "the control database"
	}
	for _, name := range slices.Sorted(maps.Keys(c.Sources)) {
		if at := place(c.Sources[name].URL.Reveal()); at != "" && seen[at] == "" {
			seen[at] = "source " + name
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Targets)) {
		t := c.Targets[name]
		at := place(t.URL.Reveal())
		if t.Neon != nil {
			at = t.Neon.Project + "/" + t.Neon.Branch + "/" + t.Neon.Database
		}
		if at == "" || at == "//" {
			continue
		}
		if other := seen[at]; other != "" {
			p := Problem{Name: "targets." + name, From: "operator's file", What: "is the same database as " + other}
			if name == EnvName && c.EnvTwin != nil {
				p.Name, p.From = "TWIN_DATABASE_URL", environment
			}
			l.problems = append(l.problems, p)
			continue
		}
		seen[at] = "target " + name
	}
}
