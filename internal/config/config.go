// Package config reads what the operator says: the environment and one file.
// It reports everything that is wrong at once, and never repeats a value that
// could be a secret.
package config

import (
	"time"

	"github.com/neontwin/neontwin/internal/twin"
)

// Role says which part of the service a process is, and so what it needs.
type Role string

// The roles of a process.
const (
	RoleAll     Role = "all"     // web and worker in one; may bring its own database
	RoleWeb     Role = "web"     // takes webhooks and serves pages
	RoleWorker  Role = "worker"  // does the jobs
	RoleMigrate Role = "migrate" // brings the database up to date and ends
)

// Valid reports whether r is a role that exists.
func (r Role) Valid() bool {
	return r == RoleAll || r == RoleWeb || r == RoleWorker || r == RoleMigrate
}

// Config is everything that the operator can set. Fields that nobody set hold
// their defaults; each Variable says what they are.
type Config struct {
	// Database is the address of the control database: runs, deliveries, the
	// queue. Unset, RoleAll keeps a private PostgreSQL in DataDir.
	Database Secret
	// DataDir is the folder of the private PostgreSQL.
	DataDir string
	// PostgresBin is the folder of PostgreSQL's programs; empty means the
	// newest that is installed.
	PostgresBin string
	// AutoMigrate lets a process bring the database up to date when it starts.
	AutoMigrate bool

	// GitHub is the App that we are.
	GitHub GitHub
	// NeonAPIURL is where the Neon API answers, without a slash at its end.
	NeonAPIURL string

	// MaskKey is what stand-ins depend on, for targets that name none of their
	// own: 64 hexadecimal digits.
	MaskKey Secret

	// ListenAddr is where webhooks and pages are served.
	ListenAddr string
	// AdminAddr is where metrics and health are served; never public.
	AdminAddr string
	// PublicURL is where people reach ListenAddr, without a slash at its end.
	// Empty means that check runs have no link to a page of ours.
	PublicURL string
	// LogFormat is json or text; empty means text on a terminal, else json.
	LogFormat string

	// SyncConcurrency is how many syncs one worker runs at a time.
	SyncConcurrency int
	// ShutdownDrain is how long running jobs may go on after a signal to stop.
	ShutdownDrain time.Duration
	// LeaseTTL is how long a worker that has gone silent keeps its run.
	LeaseTTL time.Duration
	// ProgressEvery is the least time between two reports of progress.
	ProgressEvery time.Duration
	// CatchUpEvery is how often GitHub is asked for what no webhook told.
	CatchUpEvery time.Duration

	// Sources are the databases that may be copied, by name.
	Sources map[string]Source
	// Targets are the databases that are Twins, by name.
	Targets map[string]Target
	// EnvTwin is the Twin that the environment describes, nil if it describes
	// none. Its source and target stand in Sources and Targets.
	EnvTwin *EnvTwin
}

// GitHub is what the service needs to be a GitHub App.
type GitHub struct {
	AppID int64
	// PrivateKey is the App's RSA key as PEM; it has been parsed once.
	PrivateKey Secret
	// WebhookSecret signs deliveries.
	WebhookSecret Secret
	// WebhookSecretPrevious is accepted too, while a secret is being replaced.
	WebhookSecretPrevious Secret
	// APIURL is where the REST API answers, without a slash at its end.
	APIURL string
}

// Source is a database that may be copied.
type Source struct {
	// URL is its address. It is only read.
	URL Secret
	// Repositories are those whose Twins may copy it, as owner/name.
	Repositories []string
	// MustMask demands that no personal value leaves it as it is.
	MustMask bool
	// AllowSQL lets the files of repositories bring SQL that is run on it, such
	// as the conditions of a subset. Unset it is true, unless MustMask is.
	AllowSQL bool
	// MaxRate bounds the bytes a second that a run reads from it; 0 is no bound.
	MaxRate int64
	// Safe are patterns of columns, as schema.table.column, and SafeTypes types
	// whose values may stand in an anonymized Twin as they are.
	Safe, SafeTypes []string
	// Harmless are the rules by which detection may call a column harmless; nil
	// leaves it to the default.
	Harmless []string
}

// Target is a database that is a Twin. Exactly one of URL and Neon is set.
type Target struct {
	// URL is its address on any Postgres.
	URL Secret
	// Neon says where it stands on Neon.
	Neon *Neon
	// MaskKey is the Twin's own; unset, Config.MaskKey is used.
	MaskKey Secret
	// Publish says how a new generation takes its place.
	Publish twin.Strategy
	// Repositories are those whose Twins it may be, as owner/name.
	Repositories []string
	// Adopt allows to take over a database that holds tables without our mark.
	Adopt bool
	// Accept are the ids of hazards that the operator has acknowledged.
	Accept []string
	// SourceGrants lets a first generation have the source's grants for roles
	// that the target has.
	SourceGrants bool
	// VerifyHash compares the contents of rows before publishing, too.
	VerifyHash bool
	// Jobs is how many tables a run copies at once; 0 chooses.
	Jobs int
}

// Neon names a database on Neon.
type Neon struct {
	APIKey   Secret
	Project  string
	Branch   string // its id or its name
	Database string
	// Role is whom to connect as; empty means the database's owner.
	Role string
}

// EnvTwin is a Twin described by the environment alone: a full copy, synced
// when the repository's default branch moves.
type EnvTwin struct {
	Repository string // owner/name
	Name       string
	Source     string // its name in Sources
	Target     string // its name in Targets
}
