package main

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
)

// measured is what one measurement gave.
type measured struct {
	Done   int
	Failed int
	Took   time.Duration
	// Asked is how many a second were sent, 0 where as many as went through.
	Asked float64
	// Times are sorted. Where a rate was asked for, they count from when a
	// request was due, so that a server that stalls can't hide it.
	Times []time.Duration
}

// rate is how many a second went through.
func (m measured) rate() float64 { return float64(m.Done) / m.Took.Seconds() }

// quantile is the time that a share of all took at most.
func (m measured) quantile(share float64) time.Duration {
	if len(m.Times) == 0 {
		return 0
	}
	return m.Times[min(len(m.Times)-1, int(share*float64(len(m.Times))))]
}

func median(all []measured) float64 {
	rates := make([]float64, len(all))
	for i, m := range all {
		rates[i] = m.rate()
	}
	slices.Sort(rates)
	return rates[len(rates)/2]
}

// warmUp is not counted: a new server opens its connections then, and whoever
// comes first waits for the disk.
const warmUp = time.Second

// load does something over and over, by so many at once, for the time of one
// measurement: as often as it goes, or at a rate.
func (b *bench) load(ctx context.Context, name string, rate float64, do func(context.Context) error) (measured, error) {
	var mu sync.Mutex
	m := measured{Asked: rate}
	var next atomic.Int64
	var workers sync.WaitGroup
	start := time.Now()
	began := start.Add(warmUp)
	for range b.clients {
		workers.Go(func() {
			for ctx.Err() == nil {
				due := time.Now()
				if rate > 0 {
					due = start.Add(time.Duration(float64(next.Add(1)-1) / rate * float64(time.Second)))
					select {
					case <-ctx.Done():
					case <-time.After(time.Until(due)):
					}
				}
				if due.Sub(began) >= b.each {
					return
				}
				err := do(ctx)
				took := time.Since(due)
				mu.Lock()
				switch {
				case err != nil:
					m.Failed++
				case due.After(began):
					m.Done++
					m.Times = append(m.Times, took)
				}
				mu.Unlock()
			}
		})
	}
	workers.Wait()
	m.Took = time.Since(began)
	slices.Sort(m.Times)
	fmt.Fprintf(b.log, "webhooks: %-22s %7.0f a second, median %6.2f ms, 99th percentile %6.2f ms, %d failed\n",
		name, m.rate(), ms(m.quantile(0.5)), ms(m.quantile(0.99)), m.Failed)
	return m, ctx.Err()
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// bareArgs are those of a job that says as little as ours does.
type bareArgs struct {
	GUID string `json:"guid"`
}

// Kind implements river.JobArgs.
func (bareArgs) Kind() string { return "webhook_process" }

// bare inserts jobs as River does by itself, each in a transaction of its own.
func (b *bench) bare(ctx context.Context) (measured, error) {
	if err := b.settle(ctx); err != nil {
		return measured{}, err
	}
	client, err := river.NewClient(riverpgxv5.New(b.pool), &river.Config{Schema: "river"})
	if err != nil {
		return measured{}, err
	}
	return b.load(ctx, "bare InsertTx", 0, func(ctx context.Context) error {
		return pgx.BeginFunc(ctx, b.pool, func(tx pgx.Tx) error {
			_, err := client.InsertTx(ctx, tx, bareArgs{GUID: newGUID()}, nil)
			return err
		})
	})
}

// deliveries are sent to the service, signed, at a rate or as often as it goes.
func (b *bench) deliveries(ctx context.Context, rate float64) (measured, error) {
	if err := b.settle(ctx); err != nil {
		return measured{}, err
	}
	s, err := b.serve(ctx)
	if err != nil {
		return measured{}, err
	}
	defer s.kill()
	name := "deliveries"
	if rate > 0 {
		name = "deliveries at half"
	}
	m, err := b.load(ctx, name, rate, func(ctx context.Context) error { return b.deliver(ctx, s, newGUID()) })
	if err == nil && m.Failed > 0 {
		err = fmt.Errorf("%d of %d deliveries were not taken", m.Failed, m.Failed+m.Done)
	}
	return m, err
}

// wire is a connection to the server. What a sender spends on HTTP is taken from
// the same processors as the server's share: it is kept small.
type wire struct {
	net.Conn
	answers *bufio.Reader
	request []byte
}

// deliver sends a push and wants it to be taken.
func (b *bench) deliver(ctx context.Context, s *server, guid string) (err error) {
	var w *wire
	select {
	case w = <-s.wires:
	default:
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", s.addr)
		if err != nil {
			return err
		}
		w = &wire{Conn: conn, answers: bufio.NewReader(conn)}
	}
	defer func() {
		if err == nil {
			s.wires <- w
			return
		}
		_ = w.Close()
	}()
	body := push(guid)
	mac := hmac.New(sha256.New, []byte(b.secret))
	mac.Write(body)
	w.request = fmt.Appendf(w.request[:0], "POST /webhooks/github HTTP/1.1\r\nHost: %s\r\nUser-Agent: GitHub-Hookshot/1\r\nAccept: */*\r\n"+
		"Content-Type: application/json\r\nContent-Length: %d\r\nX-GitHub-Event: push\r\nX-GitHub-Delivery: %s\r\nX-Hub-Signature-256: sha256=%x\r\n\r\n",
		s.addr, len(body), guid, mac.Sum(nil))
	w.request = append(w.request, body...)
	if err := w.SetDeadline(time.Now().Add(15 * time.Second)); err != nil {
		return err
	}
	if _, err := w.Write(w.request); err != nil {
		return err
	}
	res, err := http.ReadResponse(w.answers, nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return err
	}
	if res.StatusCode != http.StatusAccepted {
		return fmt.Errorf("answered %s", res.Status)
	}
	return nil
}

// filler is what makes a push as large as GitHub's usually are, about 7 kB.
var filler = strings.Repeat(`"url":"https://api.github.example/repos/acme/shop/`+strings.Repeat("x", 60)+`",`, 52)

// push is a push that nobody else has sent.
func push(guid string) []byte {
	sha := strings.ReplaceAll(guid, "-", "") + "00000000"
	return fmt.Appendf(nil, `{"ref":"refs/heads/main","before":"%040d","after":%q,"created":false,"deleted":false,"forced":false,`+
		`"repository":{%s"id":1296269,"name":"shop","full_name":"acme/shop","owner":{"login":"acme","id":1},"default_branch":"main","pushed_at":1700000000},`+
		`"installation":{"id":2},"sender":{"login":"dev","id":3},"commits":[{"id":%q,"message":"change","timestamp":"2026-01-02T03:04:05Z",`+
		`"added":[],"removed":[],"modified":["db/migrations/0001.sql"]}]}`, 0, sha, filler, sha)
}

func newGUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// killed is what a kill -9 under load left behind.
type killed struct {
	Answered, There, Lost int
}

// kill ends the server in the middle of as many deliveries as go through, and
// looks whether each that was answered is there together with its job.
func (b *bench) kill(ctx context.Context) (killed, error) {
	if err := b.settle(ctx); err != nil {
		return killed{}, err
	}
	s, err := b.serve(ctx)
	if err != nil {
		return killed{}, err
	}
	time.AfterFunc(b.each/2, func() { _ = s.Process.Kill() })
	var mu sync.Mutex
	var answered []string
	lost, stop := context.WithCancel(ctx)
	defer stop()
	var workers sync.WaitGroup
	for range b.clients {
		workers.Go(func() {
			for lost.Err() == nil {
				guid := newGUID()
				if err := b.deliver(lost, s, guid); err != nil {
					stop() // the server is gone
					return
				}
				mu.Lock()
				answered = append(answered, guid)
				mu.Unlock()
			}
		})
	}
	workers.Wait()
	s.kill()
	if ctx.Err() != nil {
		return killed{}, ctx.Err()
	}
	k := killed{Answered: len(answered)}
	err = b.pool.QueryRow(ctx, `SELECT count(*) FROM webhook_delivery d JOIN river.river_job j ON j.id = d.river_job_id AND j.args->>'guid' = d.guid
		WHERE d.guid = ANY($1)`, answered).Scan(&k.There)
	if err != nil {
		return k, err
	}
	k.Lost = k.Answered - k.There
	fmt.Fprintf(b.log, "webhooks: killed under load: %d answered, %d there with their jobs, %d lost\n", k.Answered, k.There, k.Lost)
	if k.Answered == 0 {
		return k, fmt.Errorf("the server answered nothing before it was killed")
	}
	return k, nil
}
