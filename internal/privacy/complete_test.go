package privacy

import (
	"testing"

	"github.com/neontwin/neontwin/internal/catalog"
	"github.com/neontwin/neontwin/internal/mask"
	"github.com/neontwin/neontwin/internal/twin"
)

// TestComplete takes a plan that has forgotten a column, as none that is made
// here should: it must refuse the run.
func TestComplete(t *testing.T) {
	t.Parallel()
	table := &catalog.Table{Relation: catalog.Relation{OID: 7, Name: catalog.Name{Schema: "public", Name: "t"}}}
	with := func(tables map[uint32]*Table, passed ...Passed) []twin.Hazard {
		p := &planner{plan: &Plan{tables: tables, Passed: passed}, parents: map[uint32]bool{}}
		for _, name := range []string{"a", "b"} {
			p.columns = append(p.columns, &column{Column: catalog.Column{Name: name}, table: table, label: "public.t." + name})
		}
		p.complete()
		return p.plan.Hazards
	}
	masked := map[uint32]*Table{7: {Fields: map[string]mask.Field{"a": {Masker: &mask.Masker{}}, "b": {}}}}
	if got := with(masked, Passed{Table: table.Name, Name: "b"}); len(got) != 0 {
		t.Errorf("nothing is forgotten: %+v", got)
	}
	if got := with(masked); len(got) != 1 || !got[0].Refuses || got[0].Object != "public.t.b" {
		t.Errorf("b is forgotten: %+v", got)
	}
	if got := with(nil); len(got) != 2 {
		t.Errorf("both are forgotten: %+v", got)
	}
}
