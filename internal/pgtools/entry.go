package pgtools

// Section is the part of a dump that an entry belongs to.
type Section int

// The sections, numbered as in the archive.
const (
	SectionNone Section = 1 // comments and the like: anywhere after what they are about
	SectionPre  Section = 2 // what must exist before rows
	SectionData Section = 3 // rows
	SectionPost Section = 4 // indexes, constraints, triggers
)

// Archive is what pg_dump wrote, rows aside.
type Archive struct {
	// Database is the name of the dumped database.
	Database string
	// ServerVersion and ToolVersion are as pg_dump reports them.
	ServerVersion, ToolVersion string
	// Entries are in the order in which a restore makes them.
	Entries []Entry
}

// Entry is one object of an archive.
type Entry struct {
	// DumpID is the entry's number, by which Dependencies name it.
	DumpID int
	// TableOID is the catalog that holds the object, OID its row there. Both
	// are 0 for what has no row of its own.
	TableOID, OID uint32
	// Tag is the object's name, for most kinds unquoted and without a schema.
	Tag string
	// Desc is the kind, such as "TABLE" or "FK CONSTRAINT".
	Desc string
	// Section is the part of the dump.
	Section Section
	// Defn are the statements that make the object. May be empty.
	Defn string
	// DropStmt is the statement that drops it. May be empty.
	DropStmt string
	// Namespace is the schema, unquoted; empty outside of schemas.
	Namespace string
	// Owner is the role, unquoted.
	Owner string
	// Dependencies are the DumpIDs of what must exist before. Some name
	// objects that are not in the archive.
	Dependencies []int
}

// Key finds the same object in two archives, where OIDs and numbers differ.
type Key struct {
	Desc, Namespace, Tag string
}

// Key is the entry's key. It is unique within an archive.
func (e Entry) Key() Key {
	if e.Desc == "OPERATOR" {
		// The tags of operators lack the argument types.
		return Key{e.Desc, e.Namespace, Identity(e)}
	}
	return Key{e.Desc, e.Namespace, e.Tag}
}
