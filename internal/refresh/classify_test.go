package refresh

import (
	"fmt"
	"strings"
	"testing"

	"github.com/neontwin/neontwin/internal/clone"
	"github.com/neontwin/neontwin/internal/twin"
)

// A refusal names what could be acknowledged, and never what could not.
func TestRefusalNamesWhatToAccept(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		ids  []string
		want string
	}{
		{[]string{clone.HazardUnreadable}, "mend what is named, then sync again"},
		{
			[]string{clone.HazardLargeObjects, clone.HazardRoom, clone.HazardRoom},
			"mend what is named, or acknowledge it by accept: [large_objects, too_little_room] of the target in the operator's file (twin sync: --accept=large_objects --accept=too_little_room), then sync again",
		},
		{
			[]string{clone.HazardUnreadable, clone.HazardRoom},
			"mend what is named, then sync again; too_little_room can be acknowledged instead, by accept: [too_little_room] of the target in the operator's file (twin sync: --accept=too_little_room)",
		},
	} {
		var hazards []twin.Hazard
		for _, id := range c.ids {
			hazards = append(hazards, twin.Hazard{ID: id, Message: id + "!", Refuses: true})
		}
		f := refusal(hazards)
		all := strings.Join(c.ids, "!\n") + "!"
		if len(c.ids) > 1 {
			all = fmt.Sprintf("%d things forbid it:\n", len(c.ids)) + all
		}
		if f.Next != c.want || f.Message != all {
			t.Errorf("%v: %+v", c.ids, f)
		}
	}
}
