package refresh

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/neontwin/neontwin/internal/catalog"
	"github.com/neontwin/neontwin/internal/clone"
	"github.com/neontwin/neontwin/internal/pgcopy"
	"github.com/neontwin/neontwin/internal/pgtools"
	"github.com/neontwin/neontwin/internal/twin"
)

// Comparison is how a database compares with the source at one moment.
type Comparison struct {
	SnapshotAt time.Time `json:"snapshot_at"`
	Equal      bool      `json:"equal"`
	// Differences name what differs, never a value.
	Differences []string `json:"differences"`
	// Verified says in words what agreed, Skipped what was not compared.
	Verified []string `json:"verified"`
	Skipped  []string `json:"skipped"`
}

// Verify compares the target with the source as it is now and changes
// nothing. Of the job only the addresses, Jobs and Deep matter. With byDump
// the definitions are compared by pg_dump too, where one is there that can
// read both servers. What the target holds of ours is left out.
func (r *Refresher) Verify(ctx context.Context, job Job, byDump bool) (Comparison, error) {
	s, err := r.begin(job, idle{})
	if err != nil {
		return Comparison{}, err
	}
	defer s.end()
	c, err := s.compare(ctx, byDump)
	if err != nil {
		return Comparison{}, s.classify(ctx, err)
	}
	c.Equal = len(c.Differences) == 0
	return c, nil
}

func (s *sync) compare(ctx context.Context, byDump bool) (Comparison, error) {
	c := Comparison{Differences: []string{}, Verified: []string{}, Skipped: []string{}}
	s.track.Begin(twin.Preflight)
	for side, address := range map[string]string{"source": s.Source, "target": s.Job.Target} {
		if err := checkAddress(side, address); err != nil {
			return c, err
		}
	}
	holder, reading, err := pgcopy.Hold(ctx, s.Source, s.app, lockable, 30*time.Second)
	if err != nil {
		return c, &sourceError{"take a snapshot of the source", err}
	}
	s.holder = holder
	c.SnapshotAt = holder.Snapshot.At
	if err := s.readableAll(reading); err != nil {
		return c, s.whyEnded(reading, err)
	}
	if s.Jobs <= 0 {
		s.Jobs = fewestJobs
	}
	env := clone.Env{Source: s.Source, Target: s.Job.Target, App: s.app, Snapshot: holder.Snapshot.ID, Jobs: s.Jobs, Tracker: s.track, Logger: s.log}
	if s.Mode != twin.Full {
		c.Skipped = append(c.Skipped, fmt.Sprintf("the rows: the Twin is of mode %s and does not hold all of them", s.Mode))
	}
	c.Verified, err = clone.Compare(reading, env, s.Mode, s.Deep)
	var mismatch *clone.MismatchError
	if errors.As(err, &mismatch) {
		c.Differences, c.Verified = mismatch.Differences, []string{}
	} else if err != nil {
		return c, s.whyEnded(reading, err)
	}
	if !byDump {
		return c, nil
	}
	return c, s.whyEnded(reading, s.compareDumps(reading, &c))
}

// readableAll refuses to compare what can't be read as a whole.
func (s *sync) readableAll(ctx context.Context) error {
	for i, address := range []string{s.Source, s.Job.Target} {
		conn, err := pgcopy.Reader(ctx, address, s.app, []string{s.holder.Snapshot.ID, ""}[i])
		if err != nil {
			if i == 0 {
				return &sourceError{"connect to the source", err}
			}
			return &targetError{"connect to the target", err}
		}
		schema, err := catalog.Read(ctx, conn)
		if err == nil && i == 1 {
			s.Mode, err = generationMode(ctx, conn)
		}
		pgcopy.Close(conn)
		if err != nil && i == 0 {
			return &sourceError{"read the source's catalog", err}
		} else if err != nil {
			return &targetError{"read the target's catalog", err}
		}
		if i == 0 {
			s.schema = schema
		}
		s.newest = max(s.newest, schema.ServerVersion/10000)
		for _, t := range schema.Tables {
			if !t.Readable || t.Filtered {
				side := []string{"source", "target"}[i]
				return &twin.Failure{
					Code: twin.CodePermission, Message: fmt.Sprintf("the %s's role may not read all rows of %s", side, t.Name),
					Next: "grant it SELECT there, USAGE on the schema and, under row-level security, BYPASSRLS",
				}
			}
		}
	}
	return nil
}

// compareDumps lets pg_dump judge both schemas.
func (s *sync) compareDumps(ctx context.Context, c *Comparison) error {
	tools, err := pgtools.Find(ctx, s.newest, s.ToolsDir)
	var old *pgtools.TooOldError
	if errors.As(err, &old) {
		c.Skipped = append(c.Skipped, "the schemas by pg_dump: "+old.Error())
		return nil
	}
	if err != nil {
		return err
	}
	options := pgtools.DumpOptions{Snapshot: s.holder.Snapshot.ID, ExcludeSchemas: []string{markSchema}, Encoding: dumpEncoding(s.schema.Database)}
	source, err := tools.Dump(ctx, withApp(s.Source, s.app), options)
	if err != nil {
		return err
	}
	options.Snapshot = ""
	target, err := tools.Dump(ctx, withApp(s.Job.Target, s.app), options)
	if err != nil {
		return err
	}
	loose := make(map[catalog.Name]bool)
	for _, t := range s.schema.Tables {
		if t.Reordered {
			loose[t.Name] = true
		}
	}
	diffs, n := compareArchives(source, target, loose)
	c.Differences = append(c.Differences, diffs...)
	if len(diffs) == 0 {
		c.Verified = append(c.Verified, fmt.Sprintf("pg_dump %s makes %d definitions of either database, and they are the same", tools.Version, n))
	}
	return nil
}

// compareArchives names the entries that differ. Of the loose tables the
// order of columns is not compared.
func compareArchives(source, target *pgtools.Archive, loose map[catalog.Name]bool) (diffs []string, n int) {
	definitions := func(a *pgtools.Archive) map[pgtools.Key]string {
		out := make(map[pgtools.Key]string)
		for _, e := range a.Entries {
			if stage, _ := pgtools.Class(e); stage == pgtools.Skip {
				continue
			}
			text := e.Defn
			if loose[catalog.Name{Schema: e.Namespace, Name: e.Tag}] && e.Desc == "TABLE" {
				text = sortLines(text)
			}
			out[e.Key()] = text
		}
		return out
	}
	s, t := definitions(source), definitions(target)
	for key, text := range s {
		switch other, ok := t[key]; {
		case !ok:
			diffs = append(diffs, "pg_dump: "+keyName(key)+" is missing")
		case other != text:
			diffs = append(diffs, "pg_dump: "+keyName(key)+" differs")
		}
	}
	for key := range t {
		if _, ok := s[key]; !ok {
			diffs = append(diffs, "pg_dump: "+keyName(key)+" is not in the source")
		}
	}
	slices.Sort(diffs)
	return diffs, len(s)
}

func keyName(k pgtools.Key) string {
	return strings.ToLower(k.Desc) + " " + strings.TrimPrefix(k.Namespace+"."+k.Tag, ".")
}

func sortLines(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimSuffix(lines[i], ",")
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
