package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"
)

// floorName is not a contender: it makes the shop's rows, indexes and keys and
// does nothing else, in an order that a person chose for this database and this
// machine. Whoever copies more databases than this one does more than it does.
const floorName = "the floor: COPY and CREATE INDEX alone"

// floorLanes is how many things the floor does at once.
const floorLanes = 2

// floorStep is one thing that the floor does, once those in after are done: a
// COPY of a table, or messages to the target.
type floorStep struct {
	name          string
	after         []string
	table, format string
	messages      []string
}

// floorSteps are in order of urgency. What takes longest begins first; a
// foreign key comes when nothing else is left to do on its tables, so that
// nobody waits for a lock.
func floorSteps() []floorStep {
	load := func(table, format string) floorStep {
		return floorStep{name: "copy " + table, table: table, format: format}
	}
	build := func(name, table, sql string) floorStep {
		return floorStep{name: name, after: []string{"copy " + table}, messages: []string{sql}}
	}
	relate := func(name string, after []string, messages ...string) floorStep {
		return floorStep{name: name, after: after, messages: messages}
	}
	key := func(table, columns string) floorStep {
		return build(table+"_pkey", table, "ALTER TABLE "+table+" ADD PRIMARY KEY ("+columns+")")
	}
	return []floorStep{
		load("events", "binary"),
		build("events_payload", "events", "CREATE INDEX events_payload ON events USING gin (payload jsonb_path_ops)"),
		load("order_items", "text"),
		load("orders", "binary"),
		load("products", "text"),
		build("products_sku", "products", "ALTER TABLE products ADD PRIMARY KEY (id), ADD UNIQUE (sku)"),
		key("order_items", "order_id, line"),
		build("order_items_product", "order_items", "CREATE INDEX order_items_product ON order_items (product_id)"),
		key("orders", "id"),
		build("orders_reference", "orders", "CREATE UNIQUE INDEX orders_reference ON orders (reference)"),
		build("orders_user", "orders", "CREATE INDEX orders_user ON orders (user_id, placed_at)"),
		build("orders_open", "orders", "CREATE INDEX orders_open ON orders (placed_at) WHERE state IN ('cart', 'paid')"),
		relate("order_items_keys",
			[]string{"order_items_pkey", "order_items_product", "orders_pkey", "orders_reference", "orders_user", "orders_open", "products_sku"},
			`ALTER TABLE order_items ADD CONSTRAINT order_items_order FOREIGN KEY (order_id) REFERENCES orders ON DELETE CASCADE NOT VALID,
				ADD CONSTRAINT order_items_product FOREIGN KEY (product_id) REFERENCES products NOT VALID`,
			"ALTER TABLE order_items VALIDATE CONSTRAINT order_items_order",
			"ALTER TABLE order_items VALIDATE CONSTRAINT order_items_product"),
		load("users", "binary"),
		load("tenants", "text"),
		key("users", "id"),
		build("users_email", "users", "CREATE UNIQUE INDEX users_email ON users (lower(email::text))"),
		build("users_tenant", "users", "CREATE INDEX users_tenant ON users (tenant_id, created_at DESC)"),
		build("tenants_slug", "tenants", "ALTER TABLE tenants ADD PRIMARY KEY (id), ADD UNIQUE (slug)"),
		relate("users_keys", []string{"users_pkey", "users_email", "users_tenant", "tenants_slug"},
			`ALTER TABLE users ADD FOREIGN KEY (tenant_id) REFERENCES tenants, ADD FOREIGN KEY (invited_by) REFERENCES users`,
			"ALTER TABLE tenants ADD FOREIGN KEY (owner_id) REFERENCES users DEFERRABLE INITIALLY DEFERRED"),
		load("documents", "binary"),
		key("documents", "id"),
		build("documents_title", "documents", "CREATE INDEX documents_title ON documents (title)"),
		load("comments", "text"),
		key("comments", "id"),
		build("comments_subject", "comments", "CREATE INDEX comments_subject ON comments (subject_type, subject_id)"),
		build("comments_author", "comments", "CREATE INDEX comments_author ON comments (author_id)"),
		relate("comments_keys", []string{"comments_pkey", "comments_subject", "comments_author", "users_keys"},
			"ALTER TABLE comments ADD FOREIGN KEY (author_id) REFERENCES users"),
		relate("orders_keys", []string{"order_items_keys", "users_keys"},
			"ALTER TABLE orders ADD FOREIGN KEY (user_id) REFERENCES users"),
		load("measurements_2025", "binary"),
		load("measurements_2026", "binary"),
		build("measurements_2025_sensor", "measurements_2025", "CREATE INDEX ON measurements_2025 (sensor, taken_at)"),
		build("measurements_2026_sensor", "measurements_2026", "CREATE INDEX ON measurements_2026 (sensor, taken_at)"),
		key("events", "id"),
		build("events_when", "events", "CREATE INDEX events_when ON events (happened_at)"),
		relate("measurements_sensor", []string{"measurements_2025_sensor", "measurements_2026_sensor"},
			"CREATE INDEX measurements_sensor ON measurements (sensor, taken_at)"), // takes over the two
	}
}

// floor makes a copy of the shop. Its tables are made before it begins: that
// is not in its time.
func (b *bench) floor() contender {
	bin := b.target.Bin()
	return contender{
		name: floorName,
		before: func(from, to endpoint, _ string) []pipeline {
			return []pipeline{{
				{program: bin + "/pg_dump", args: []string{"--section=pre-data", "--no-owner", "--no-acl"}, env: from.env()},
				{program: bin + "/psql", args: []string{"-X", "-q", "-v", "ON_ERROR_STOP=1", "-o", "/dev/null"}, env: to.env()},
			}}
		},
		inside: func(ctx context.Context, from, to string) error { return layFloor(ctx, from, to, floorSteps()) },
	}
}

// layFloor takes the steps, each lane with a session on either side.
func layFloor(ctx context.Context, from, to string, steps []floorStep) error {
	return inLanes(ctx, floorLanes, steps, func(ctx context.Context, next func() (floorStep, bool), done func(string)) error {
		source, err := pgx.Connect(ctx, from)
		if err != nil {
			return err
		}
		defer source.Close(context.WithoutCancel(ctx))
		target, err := pgx.Connect(ctx, to)
		if err != nil {
			return err
		}
		defer target.Close(context.WithoutCancel(ctx))
		const settings = `SET synchronous_commit = off; SET maintenance_work_mem = '512MB'; SET max_parallel_maintenance_workers = 0;
			SET default_toast_compression = 'lz4'`
		if _, err := target.PgConn().Exec(ctx, settings).ReadAll(); err != nil {
			return err
		}
		for {
			s, more := next()
			if !more {
				break
			}
			if err := s.take(ctx, source, target); err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			done(s.name)
		}
		// A commit that waits for the log waits for all before it.
		_, err = target.PgConn().Exec(ctx, "SET synchronous_commit = on; SELECT pg_current_xact_id()").ReadAll()
		return err
	})
}

// inLanes hands the steps to n lanes. A lane asks for the first step whose
// conditions are met, waits until there is one, and says when it is done.
func inLanes(ctx context.Context, n int, steps []floorStep, lane func(ctx context.Context, next func() (floorStep, bool), done func(string)) error) error {
	left := slices.Clone(steps)
	finished := map[string]bool{}
	var mu sync.Mutex
	changed := make(chan struct{}) // closed and replaced at each change
	// pick gives a step, or what to wait for until there may be one.
	pick := func() (step floorStep, wait <-chan struct{}, more bool) {
		mu.Lock()
		defer mu.Unlock()
		for i, s := range left {
			if !slices.ContainsFunc(s.after, func(name string) bool { return !finished[name] }) {
				left = slices.Delete(left, i, i+1)
				return s, nil, true
			}
		}
		return floorStep{}, changed, len(left) > 0
	}
	done := func(name string) {
		mu.Lock()
		defer mu.Unlock()
		finished[name] = true
		close(changed)
		changed = make(chan struct{})
	}
	g, ctx := errgroup.WithContext(ctx)
	next := func() (floorStep, bool) {
		for {
			s, wait, more := pick()
			if wait == nil || !more {
				return s, more
			}
			select {
			case <-wait:
			case <-ctx.Done():
				return floorStep{}, false
			}
		}
	}
	for range n {
		g.Go(func() error { return lane(ctx, next, done) })
	}
	return g.Wait()
}

func (s floorStep) take(ctx context.Context, source, target *pgx.Conn) error {
	for _, m := range s.messages {
		if _, err := target.PgConn().Exec(ctx, m).ReadAll(); err != nil {
			return err
		}
	}
	if s.table == "" {
		return nil
	}
	var columns []string
	err := source.QueryRow(ctx, `SELECT array(SELECT quote_ident(attname) FROM pg_attribute
		WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum)`, s.table).Scan(&columns)
	if err != nil {
		return err
	}
	list := strings.Join(columns, ", ")
	// As large pieces: a write for each row would cost more than the row.
	out, in := io.Pipe()
	var g errgroup.Group
	g.Go(func() error {
		buffered := bufio.NewWriterSize(in, 128<<10)
		_, err := source.PgConn().CopyTo(ctx, buffered, fmt.Sprintf("COPY (SELECT %s FROM ONLY %s) TO STDOUT (FORMAT %s)", list, s.table, s.format))
		if err == nil {
			err = buffered.Flush()
		}
		return in.CloseWithError(err)
	})
	_, err = target.PgConn().CopyFrom(ctx, out, fmt.Sprintf("TRUNCATE ONLY %[1]s; COPY %[1]s (%[2]s) FROM STDIN (FORMAT %[3]s, FREEZE)", s.table, list, s.format))
	_ = out.CloseWithError(err) // so that who writes does not wait for ever
	if sent := g.Wait(); err == nil {
		err = sent
	}
	return err
}
