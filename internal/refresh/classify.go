package refresh

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/neontwin/neontwin/internal/catalog"
	"github.com/neontwin/neontwin/internal/clone"
	"github.com/neontwin/neontwin/internal/mask"
	"github.com/neontwin/neontwin/internal/pgcopy"
	"github.com/neontwin/neontwin/internal/pgtools"
	"github.com/neontwin/neontwin/internal/twin"
)

// sourceError is an error of the source's server, and what was being done.
type sourceError struct {
	doing string
	err   error
}

func (e *sourceError) Error() string { return e.doing + ": " + e.err.Error() }
func (e *sourceError) Unwrap() error { return e.err }

// refusal turns hazards that forbid a run into the failure that says so.
func refusal(hazards []twin.Hazard) *twin.Failure {
	const most = 60
	if len(hazards) == 1 {
		return twin.Refuse(hazards[0].Message, instead(hazards))
	}
	message := fmt.Sprintf("%d things forbid it:", len(hazards))
	for _, h := range hazards[:min(len(hazards), most)] {
		message += "\n" + h.Message
	}
	if n := len(hazards) - most; n > 0 {
		message += fmt.Sprintf("\nand %d more, which twin plan lists", n)
	}
	return twin.Refuse(message, instead(hazards))
}

// instead says what to do about hazards that refuse: which of them could be
// acknowledged, and how.
func instead(hazards []twin.Hazard) string {
	var ids []string
	all := true
	for _, h := range hazards {
		all = all && clone.Acceptable(h.ID)
		if clone.Acceptable(h.ID) && !slices.Contains(ids, h.ID) {
			ids = append(ids, h.ID)
		}
	}
	if len(ids) == 0 {
		return "mend what is named, then sync again"
	}
	how := fmt.Sprintf("accept: [%s] of the target in the operator's file (twin sync: --accept=%s)", strings.Join(ids, ", "), strings.Join(ids, " --accept="))
	if all {
		return "mend what is named, or acknowledge it by " + how + ", then sync again"
	}
	return "mend what is named, then sync again; " + strings.Join(ids, ", ") + " can be acknowledged instead, by " + how
}

// plainColumn is the name of a column or constraint for people.
func plainColumn(name string) string { return catalog.Name{Name: name}.String() }

func configFailure(message, next string) *twin.Failure {
	return &twin.Failure{Code: twin.CodeConfig, Message: message, Next: next}
}

// classify makes of any error what a person may read. The texts of servers
// stay in the cause, for the log: they quote rows.
func (s *sync) classify(ctx context.Context, err error) error {
	phase := s.track.Phase()
	var f *twin.Failure
	switch {
	case errors.As(err, &f):
		if f.Phase == "" {
			f.Phase = phase
		}
		f.Changed = s.cleared
		if !s.masked() {
			return err
		}
		if f.Cause != nil {
			f.Cause = hush{f.Cause}
		}
		return hush{err}
	case errors.Is(err, twin.ErrLeaseLost), ctx.Err() != nil && errors.Is(context.Cause(ctx), twin.ErrLeaseLost):
		if s.masked() {
			return hush{err}
		}
		return err
	case ctx.Err() != nil:
		f = &twin.Failure{Code: twin.CodeInterrupted, Retry: true, Message: "the sync was interrupted", Next: "sync again"}
	case errors.Is(err, pgcopy.ErrGaveWay):
		f = &twin.Failure{
			Code: twin.CodeYielded, Retry: true,
			Message: "the sync gave way: a session on the source waited for a table that was being copied",
			Next:    "it runs again later; schedule it apart from migrations and maintenance",
		}
	case errors.Is(err, pgcopy.ErrSnapshotLost):
		// Whatever else failed did so for this.
		f = &twin.Failure{
			Code: twin.CodeSource, Retry: true,
			Message: "the source could not be reached, or the connection was lost: its snapshot is gone",
			Next:    "it is tried again; check that the source runs and ends no long sessions",
		}
	default:
		f = describe(err)
	}
	if s.masked() {
		err = hush{err}
	}
	f.Phase, f.Cause, f.Changed = phase, err, s.cleared
	return f
}

// describe finds the class of an error by who raised it.
func describe(err error) *twin.Failure {
	var mismatch *clone.MismatchError
	var tooOld *pgtools.TooOldError
	var dump *pgtools.DumpError
	var step *clone.Error
	var source *sourceError
	var target *targetError
	switch {
	case errors.As(err, &mismatch):
		return &twin.Failure{
			Code: twin.CodeVerify, Message: "the copy differs from the source: " + mismatch.Error(),
			Next: "nothing was published; report this as a defect with the names above",
		}
	case errors.As(err, &tooOld):
		return configFailure(tooOld.Error(), "install the client where the service runs")
	case errors.As(err, &dump):
		return describeDump(dump)
	case errors.As(err, &step):
		return describeServer(err, step.Source, step.Object)
	case errors.As(err, &source):
		return describeServer(err, true, source.doing)
	case errors.As(err, &target):
		return describeServer(err, false, target.doing)
	}
	return twin.AsFailure(err)
}

// describeServer says what one of the two servers refused, and at what.
func describeServer(err error, source bool, at string) *twin.Failure {
	side, code := "target", twin.CodeTarget
	if source {
		side, code = "source", twin.CodeSource
	}
	f := &twin.Failure{Code: code, Retry: pgcopy.Transient(err)}
	var pg *pgconn.PgError
	var connect *pgconn.ConnectError
	var masking *mask.ColumnError
	switch {
	case errors.As(err, &masking):
		f.Code, f.Retry, f.Message = twin.CodeData, false, fmt.Sprintf("a value of %s.%s could not be masked: %v", at, plainColumn(masking.Column), masking.Err)
		f.Next = "choose another class for the column"
	case errors.Is(err, pgcopy.ErrRowsLost):
		f.Code, f.Message, f.Next = twin.CodeData, "rows were lost on the way: "+at, "sync again; report it if it happens twice"
	case !errors.As(err, &pg) && (f.Retry || errors.As(err, &connect)):
		f.Message = fmt.Sprintf("the %s could not be reached, or the connection was lost: %s", side, at)
		f.Next = fmt.Sprintf("check that the %s runs and lets this service in", side)
	case pg == nil:
		return twin.AsFailure(err)
	case strings.HasPrefix(pg.Code, "28"), pg.Code == "3D000":
		f.Message = fmt.Sprintf("the %s refused the login (SQLSTATE %s)", side, pg.Code)
		f.Next = fmt.Sprintf("check user, password and database in the %s's URL", side)
	case pg.Code == "42501":
		f.Code = twin.CodePermission
		f.Message = fmt.Sprintf("the %s's role lacks a privilege: %s", side, at)
		f.Next = fmt.Sprintf("grant it to the role in the %s's URL; the service's log has the server's words", side)
	case strings.HasPrefix(pg.Code, "53"):
		f.Code, f.Retry = twin.CodeCapacity, pg.Code == "53300"
		f.Message = fmt.Sprintf("the %s has no room left (SQLSTATE %s): %s", side, pg.Code, at)
		f.Next = fmt.Sprintf("give the %s more disk, memory or connections, then sync again", side)
	case f.Retry:
		f.Message = fmt.Sprintf("the %s went away or was too busy (SQLSTATE %s): %s", side, pg.Code, at)
		f.Next = "it is tried again; check the server if it stays so"
	case strings.HasPrefix(pg.Code, "22"), strings.HasPrefix(pg.Code, "23"):
		f.Code = twin.CodeData
		f.Message = fmt.Sprintf("the %s did not accept the data (SQLSTATE %s): %s", side, pg.Code, at)
		f.Next = "the source holds rows that break its own rules there, or stand-ins do; the service's log has the server's words"
		if pg.ConstraintName != "" {
			f.Message += ", constraint " + plainColumn(pg.ConstraintName)
		}
	default:
		f.Code = twin.CodeSchema
		f.Message = fmt.Sprintf("the %s did not accept a statement (SQLSTATE %s): %s", side, pg.Code, at)
		f.Next = "the service's log has the server's words"
	}
	return f
}

func describeDump(e *pgtools.DumpError) *twin.Failure {
	f := &twin.Failure{Code: twin.CodeSource, Message: "pg_dump could not read the schema", Next: "the service's log has its words"}
	of := ""
	if e.Object != "" {
		of = " of " + e.Object
	}
	switch e.Kind {
	case pgtools.KindVersion:
		f.Code = twin.CodeConfig
		f.Message = fmt.Sprintf("pg_dump %s can't read a server of version %s", e.Tool, e.Server)
		f.Next = "install a client at least as new as the server where the service runs"
	case pgtools.KindPermission:
		f.Code = twin.CodePermission
		f.Message = "the role may not read the definition" + of
		f.Next = "grant it SELECT there, and USAGE on the schema"
	case pgtools.KindLock:
		f.Retry = true
		f.Message = "a lock" + of + " did not come in time"
		f.Next = "it is tried again; schedule syncs apart from migrations"
	case pgtools.KindConnection, pgtools.KindSnapshot:
		f.Retry = true
		f.Message = "the connection was lost while the schema was read"
		f.Next = "it is tried again; check the server if it stays so"
	case pgtools.KindLogin:
		f.Message, f.Next = "the server refused pg_dump's login", "check user, password and database in the URL"
	case pgtools.KindLocks:
		f.Code = twin.CodeCapacity
		f.Message = "the server's lock table is too small for so many tables"
		f.Next = "raise max_locks_per_transaction there"
	case pgtools.KindArchive, pgtools.KindOther:
	}
	return f
}
