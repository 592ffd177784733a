package clone

import (
	"slices"
	"testing"
)

func TestRelater(t *testing.T) {
	t.Parallel()
	key := func(name string, table, parent uint32) ForeignKey {
		return ForeignKey{Add: Statement{What: name, SQL: "add"}, Validate: Statement{SQL: "validate"}, Table: table, Parent: parent}
	}
	invalid := key("invalid", 3, 1)
	invalid.Validate = Statement{}
	p := &Plan{
		Steps: []Step{{OID: 1}, {OID: 2}, {OID: 3}},
		ForeignKeys: []ForeignKey{
			key("itself", 1, 1), key("there", 1, 2), key("back", 2, 1), invalid, key("outside", 9, 8),
		},
	}
	var q relater
	q.expect(p)
	var taken []ForeignKey
	take := func(want ...string) {
		t.Helper()
		taken = q.take()
		var got []string
		for _, k := range taken {
			got = append(got, k.Add.What)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%q can be added, want %q", got, want)
		}
	}
	take("outside") // its tables are not filled by the plan
	q.added(taken)
	take()
	q.complete(1)
	take("itself")
	itself := taken
	q.complete(2)
	q.complete(3)
	take() // 1 is being altered
	q.added(itself)
	take() // and then read, by somebody who does not want to wait
	q.validated(itself)
	take("there", "back", "invalid") // in one message, they don't meet each other
	q.added(taken)
	q.validated(taken)
	take()
	if len(q.left) != 0 || len(q.busy) != 1 { // "outside" is still to be validated
		t.Errorf("left %v, busy %v", q.left, q.busy)
	}
}
