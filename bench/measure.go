package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/neontwin/neontwin/internal/twin"
)

// results are all figures of one measurement.
type results struct {
	Machine machine `json:"machine"`
	// Near is the database on loopback, Far with the target behind the relay.
	Near []series `json:"near"`
	Far  []series `json:"far"`
	// Beside are our runs on loopback in turn with those over the relay: what a
	// machine does changes from one hour to the next.
	Beside series `json:"beside"`
	// Through are our runs over the relay while it delayed nothing.
	Through series `json:"through"`
	// Objects and Small are the small benchmarks, both behind the relay.
	Objects []series `json:"objects,omitempty"`
	Small   []series `json:"small,omitempty"`
	// Partial are copies of a part of the database, on loopback.
	Partial []series `json:"partial,omitempty"`
	// Masked are a full copy and one with columns masked, on loopback;
	// MaskedShare is how much of the bytes those columns are.
	Masked      []series `json:"masked,omitempty"`
	MaskedShare float64  `json:"masked_share,omitempty"`
	// Floor is the database on loopback without what a tool does beside copying,
	// and ObjectsNear our runs of Objects without the relay.
	Floor       series `json:"floor"`
	ObjectsNear series `json:"objects_near"`
	// Watched are single runs on loopback that were watched and count for
	// nothing else: ours first.
	Watched []watched `json:"watched,omitempty"`
	// Values are what single values of the classes cost.
	Values []classSpeed `json:"values,omitempty"`
	// Detected are the halves of the labelled columns.
	Detected []detection `json:"detected,omitempty"`
}

// series are one contender's runs.
type series struct {
	Name    string   `json:"name"`
	Missing string   `json:"missing,omitempty"`
	Samples []sample `json:"samples,omitempty"`
}

// sample is one run.
type sample struct {
	usage
	// Load is the machine's load average before the run, Source and Target the
	// processor time of the two servers meanwhile.
	Load   float64       `json:"load"`
	Source time.Duration `json:"source"`
	Target time.Duration `json:"target"`
	// Own is this process's: it watches, and is the relay.
	Own time.Duration `json:"own,omitempty"`
	// Failed is why there is no copy, or no right one.
	Failed string       `json:"failed,omitempty"`
	Report *twin.Report `json:"report,omitempty"` // ours alone
}

// everything measures all there is.
func (b *bench) everything(ctx context.Context) (*results, error) {
	shop, err := b.database(ctx, "shop", shopSQL)
	if err != nil {
		return nil, err
	}
	r := &results{}
	if r.Machine, err = b.describe(ctx, shop); err != nil {
		return nil, err
	}
	if r.Detected, err = detections(); err != nil {
		return nil, err
	}
	if r.Values, err = speeds(); err != nil {
		return nil, err
	}
	list := b.contenders()
	if err := b.near(ctx, r, shop, list); err != nil {
		return nil, err
	}
	parts, err := b.partials(ctx, shop)
	if err != nil {
		return nil, err
	}
	if r.Partial, err = b.rounds(ctx, shop, parts, b.runs, false); err != nil {
		return nil, err
	}
	if err := b.maskedRounds(ctx, r, shop); err != nil {
		return nil, err
	}
	if err := b.distant(ctx, r, shop, list); err != nil || !b.micro {
		return r, err
	}
	if r.Objects, err = b.small(ctx, "objects", schemaSQL, list); err != nil {
		return nil, err
	}
	if r.ObjectsNear, err = b.objectsNear(ctx); err != nil {
		return nil, err
	}
	r.Small, err = b.small(ctx, "small", smallSQL, list)
	return r, err
}

// near measures on loopback. Whoever is first there takes a quarter more of the
// processor than later: the servers' memory and files are new. So the first run
// is one that counts for nothing.
func (b *bench) near(ctx context.Context, r *results, shop string, list []contender) error {
	if b.runs == 0 {
		return nil
	}
	fmt.Fprintln(b.log, "bench: a first run, which does not count")
	if _, err := b.measure(ctx, shop, list[0], false); err != nil {
		return err
	}
	all, err := b.rounds(ctx, shop, append(slices.Clone(list), b.floor()), b.runs, false)
	if err != nil {
		return err
	}
	r.Near, r.Floor = all[:len(list)], all[len(list)]
	fmt.Fprintln(b.log, "bench: runs that are watched and count for nothing else")
	for _, c := range b.worthWatching(r, list) {
		w, err := b.watch(ctx, shop, c)
		if err != nil {
			return err
		}
		r.Watched = append(r.Watched, w)
	}
	return nil
}

// distant measures over the relay: ours as often as on loopback, and each time
// after a run there and one over a relay that delays nothing, which tells the
// way from the work of passing the bytes on.
func (b *bench) distant(ctx context.Context, r *results, shop string, list []contender) error {
	if b.far == 0 {
		return nil
	}
	ours := list[:1]
	defer b.relay.SetRoundTrip(b.roundTrip)
	ways := []struct {
		far   bool
		delay time.Duration
		series
	}{{}, {far: true}, {far: true, delay: b.roundTrip}}
	for range max(b.far, b.runs) {
		for i := range ways {
			b.relay.SetRoundTrip(ways[i].delay)
			one, err := b.rounds(ctx, shop, ours, 1, ways[i].far)
			if err != nil {
				return err
			}
			ways[i].Name, ways[i].Samples = one[0].Name, append(ways[i].Samples, one[0].Samples...)
		}
	}
	r.Beside, r.Through, r.Far = ways[0].series, ways[1].series, []series{ways[2].series}
	others, err := b.rounds(ctx, shop, list[1:], b.far, true)
	r.Far = append(r.Far, others...)
	return err
}

// worthWatching are ours, the pgcopydb that was faster, and the floor.
func (b *bench) worthWatching(r *results, list []contender) []contender {
	out := []contender{list[0]}
	best := fastest(r.Near, pgcopydbName, pgcopydb4Name)
	for _, c := range list[1:] {
		if c.name == best.Name && best.wall() > 0 {
			out = append(out, c)
		}
	}
	return append(out, b.floor())
}

// objectsNear is what the many objects take where a round trip is nothing.
func (b *bench) objectsNear(ctx context.Context) (series, error) {
	database, err := b.database(ctx, "objects", schemaSQL)
	if err != nil {
		return series{}, err
	}
	out, err := b.rounds(ctx, database, []contender{b.ours()}, b.runs, false)
	if err != nil {
		return series{}, err
	}
	return out[0], nil
}

// small measures a database whose copy is all round trips: ours as often as
// asked for, and once, because it takes so long, the documented way.
func (b *bench) small(ctx context.Context, kind, sql string, list []contender) ([]series, error) {
	database, err := b.database(ctx, kind, sql)
	if err != nil {
		return nil, err
	}
	out, err := b.rounds(ctx, database, list[:1], b.runs, true)
	if err != nil {
		return nil, err
	}
	var others []contender
	for _, c := range list {
		if c.name == documentedName {
			others = append(others, c)
		}
	}
	once, err := b.rounds(ctx, database, others, min(b.runs, 1), true)
	return append(out, once...), err
}

// rounds runs each contender once in a round, and begins each round with
// another one, so that what disturbs the machine disturbs all.
func (b *bench) rounds(ctx context.Context, database string, list []contender, runs int, far bool) ([]series, error) {
	out := make([]series, len(list))
	for i, c := range list {
		out[i] = series{Name: c.name, Missing: c.missing}
		if c.missing != "" {
			fmt.Fprintf(b.log, "bench: %s is left out: %s\n", c.name, c.missing)
		}
	}
	for round := range runs {
		for i := range list {
			at := (round + i) % len(list)
			if list[at].missing != "" {
				continue
			}
			s, err := b.measure(ctx, database, list[at], far)
			if err != nil {
				return nil, err
			}
			out[at].Samples = append(out[at].Samples, s)
		}
	}
	return out, nil
}

// measure runs one contender once, on an empty target, and judges its copy.
// Its failure is a figure too; an error is ours.
func (b *bench) measure(ctx context.Context, database string, c contender, far bool) (sample, error) {
	if err := b.clean(ctx); err != nil {
		return sample{}, fmt.Errorf("clean the target: %w", err)
	}
	if err := b.warm(ctx, database); err != nil {
		return sample{}, fmt.Errorf("read the source: %w", err)
	}
	to := b.target.URL(twinDatabase)
	if far {
		var err error
		if to, err = b.relay.URL(to); err != nil {
			return sample{}, err
		}
	}
	if c.before != nil {
		if _, _, err := execAll(ctx, c.before(endpoint{b.source.URL(database)}, endpoint{to}, b.staging), b.staging); err != nil {
			return sample{}, err
		}
	}
	s := sample{Load: load()}
	end := func() error { return nil }
	if b.observe != nil {
		end = b.observe(ctx)
	}
	source, target := postmaster(b.source.DataDir()), postmaster(b.target.DataDir())
	fromCPU, toCPU, own := serverCPU(source), serverCPU(target), ownCPU()
	used, stdout, err := b.copy(ctx, c, endpoint{b.source.URL(database)}, endpoint{to})
	s.usage, s.Source, s.Target, s.Own = used, serverCPU(source)-fromCPU, serverCPU(target)-toCPU, ownCPU()-own
	if err := end(); err != nil {
		return s, err
	}
	if ctx.Err() != nil {
		return s, ctx.Err()
	}
	if err == nil {
		want := b.counted[database]
		if c.keeps != nil {
			want.rows = c.keeps
		}
		err = b.judge(ctx, want)
	}
	if err == nil && slices.Contains([]string{oursName, partialName, maskedName}, c.name) {
		s.Report = &twin.Report{}
		err = json.Unmarshal(stdout, s.Report)
	}
	where := "loopback"
	if far {
		where = "relay"
	}
	fmt.Fprintf(b.log, "bench: load %5.2f  %-8s %6.2f s  client CPU %5.2f s, %4d MB  servers' CPU %5.2f + %5.2f s  %s\n",
		s.Load, where, s.Wall.Seconds(), s.CPU.Seconds(), s.Memory>>20, s.Source.Seconds(), s.Target.Seconds(), c.name)
	if err != nil {
		s.Failed = err.Error()
		fmt.Fprintf(b.log, "bench: %s failed: %s\n", c.name, s.Failed)
	}
	return s, nil
}

// copy lets the contender do its work.
func (b *bench) copy(ctx context.Context, c contender, from, to endpoint) (usage, []byte, error) {
	if c.inside == nil {
		return execAll(ctx, c.pipelines(from, to, b.staging), b.staging)
	}
	// Nothing else goes on in this process meanwhile, and its memory is not the
	// contender's.
	began, before := time.Now(), ownCPU()
	err := c.inside(ctx, from.address, to.address)
	return usage{Wall: time.Since(began), CPU: ownCPU() - before}, nil, err
}

// save keeps the figures for whoever wants to look deeper.
func (r *results) save(path string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o600)
}

// good are the runs that did not fail.
func (s series) good() []sample {
	return slices.DeleteFunc(slices.Clone(s.Samples), func(s sample) bool { return s.Failed != "" })
}

// median is the middle one of what the good runs have, 0 where there is none.
func (s series) median(of func(sample) float64) float64 {
	var all []float64
	for _, one := range s.good() {
		all = append(all, of(one))
	}
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return (all[(len(all)-1)/2] + all[len(all)/2]) / 2
}

// wall is the median of wall time, in seconds.
func (s series) wall() float64 {
	return s.median(func(s sample) float64 { return s.Wall.Seconds() })
}

// through is the median of the time until the end of a phase, by the report.
func (s series) through(last twin.Phase) float64 {
	return s.median(func(s sample) float64 {
		sum := 0.0
		for _, p := range s.Report.Phases {
			sum += p.Seconds
			if p.Phase == last {
				break
			}
		}
		return sum
	})
}

// phase is the median of one phase's time.
func (s series) phase(which twin.Phase) float64 {
	return s.median(func(s sample) float64 {
		sum := 0.0
		for _, p := range s.Report.Phases {
			if p.Phase == which {
				sum += p.Seconds
			}
		}
		return sum
	})
}

// fastest gives the series with the least time of those names, an empty one
// where none has any.
func fastest(all []series, names ...string) (best series) {
	for _, n := range names {
		if s := find(all, n); s.wall() > 0 && (best.wall() == 0 || s.wall() < best.wall()) {
			best = s
		}
	}
	return best
}

// find gives the series of that name, an empty one where there is none.
func find(all []series, name string) series {
	for _, s := range all {
		if s.Name == name {
			return s
		}
	}
	return series{Name: name}
}
