package detect

import (
	"github.com/neontwin/neontwin/internal/catalog"
	"github.com/neontwin/neontwin/internal/mask"
)

// columnOf is what the catalog says of a column.
func columnOf(s *catalog.Schema, t catalog.Table, c catalog.Column) Column {
	m := mask.ColumnOf(s, c)
	out := Column{
		Schema: t.Schema, Table: t.Name.Name, Name: c.Name, Type: c.Type, Kind: m.Kind, Default: c.Default,
		NotNull: c.NotNull, Identity: c.Identity != "",
	}
	if m.Elem != nil {
		out.Kind, out.Array = m.Elem.Kind, true
	}
	return out
}
