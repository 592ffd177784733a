package clone

import (
	"testing"

	"github.com/neontwin/neontwin/internal/pgtools"
)

// The schema public is in every dump of a server before 15. It is made with
// the database, so nothing is left out.
func TestSchemaPublicIsNoHazard(t *testing.T) {
	t.Parallel()
	skipped := []pgtools.Skipped{
		{Entry: pgtools.Entry{Desc: "SCHEMA", Tag: "public"}, Reason: "exists in every new database"},
		{Entry: pgtools.Entry{Desc: "SUBSCRIPTION", Tag: "s"}, Reason: "a Twin subscribes to nothing"},
	}
	if got := skippedHazards(skipped); len(got) != 1 || got[0].Object != "subscription s" {
		t.Errorf("got %+v", got)
	}
}
