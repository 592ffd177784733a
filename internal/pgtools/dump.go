package pgtools

import (
	"context"
	"errors"
	"io"
	"time"
)

// DumpOptions says what a dump holds. It never holds rows, large objects,
// publications, subscriptions or security labels.
type DumpOptions struct {
	// Snapshot is an exported snapshot to dump under. Empty: a new one.
	Snapshot string
	// ACL includes grants.
	ACL bool
	// LockTimeout bounds the wait for each ACCESS SHARE lock. 0: 20 seconds.
	LockTimeout time.Duration
	// ExcludeSchemas leaves out schemas of these exact names.
	ExcludeSchemas []string
}

// Kind is why a dump failed.
type Kind string

// The kinds of failure.
const (
	KindVersion    Kind = "version"    // the server is newer than pg_dump
	KindPermission Kind = "permission" // an object can't be read; DumpError.Object names it
	KindLock       Kind = "lock"       // a lock did not come in time
	KindConnection Kind = "connection" // the server can't be reached, or went away
	KindLogin      Kind = "login"      // the server refused the role, password or database
	KindSnapshot   Kind = "snapshot"   // the snapshot is gone
	KindLocks      Kind = "locks"      // the server's lock table is too small for so many tables
	KindArchive    Kind = "archive"    // what pg_dump wrote can't be read
	KindOther      Kind = "other"
)

// DumpError is a dump that failed. Its text is for the operator's log: it may
// hold host and object names, but no password.
type DumpError struct {
	Kind Kind
	// Object is the object that can't be read or locked, where pg_dump names one.
	Object string
	// Server and Tool are versions, for KindVersion.
	Server, Tool string
	// Detail is the end of what pg_dump said, scrubbed.
	Detail string
	// Err is how the process or the reading of its output ended.
	Err error
}

// Error tells kind and detail.
func (e *DumpError) Error() string { return string(e.Kind) + ": " + e.Detail }

// Unwrap gives the process's or the reader's error.
func (e *DumpError) Unwrap() error { return e.Err }

// Dump runs pg_dump on the database at url, a postgres:// address, and reads
// its archive while it is being written. The password goes to the child's
// environment alone. Cancelling ctx tells the server to stop, ends the
// child's whole process group and waits for it. Errors are a *DumpError or
// the context's.
func (t Tools) Dump(ctx context.Context, url string, o DumpOptions) (*Archive, error) {
	return nil, errors.New("dump: not written yet")
}

// ReadArchive reads the head and the table of contents of an archive in
// pg_dump's custom format, versions 1.13 to 1.16 (pg_dump 11 to 18). It
// allocates in proportion to what it has read, whatever lengths the input
// claims.
func ReadArchive(r io.Reader) (*Archive, error) {
	return nil, errors.New("read archive: not written yet")
}

func environment(password string) []string { return nil }
