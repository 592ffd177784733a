package github

import (
	"cmp"
	"slices"
	"time"
)

// Budget is what is left of an installation's requests in this hour, as
// GitHub's latest answer said.
type Budget struct {
	Installation int64 // 0: the App itself
	Limit, Left  int
	Reset        time.Time
	// PausedUntil is set while nothing is sent, because a limit was met.
	PausedUntil time.Time
}

// Budgets lists those of which an answer has told, by installation.
func (a *App) Budgets() []Budget {
	gates := map[int64]*gate{0: a.own}
	a.mu.Lock()
	for id, g := range a.gates {
		gates[id] = g
	}
	a.mu.Unlock()
	var out []Budget
	for id, g := range gates {
		if b, told := g.budget(); told {
			b.Installation = id
			out = append(out, b)
		}
	}
	slices.SortFunc(out, func(a, b Budget) int { return cmp.Compare(a.Installation, b.Installation) })
	return out
}

func (g *gate) budget() (b Budget, told bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	b = Budget{Limit: g.most, Left: g.left, Reset: g.reset}
	if now.After(g.reset) { // a new hour has begun
		b.Left = g.most
	}
	if now.Before(g.until) {
		b.PausedUntil = g.until
	}
	return b, g.most > 0
}
