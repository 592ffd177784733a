package pgtools

import (
	"errors"
	"io"
	"regexp"
	"strings"
)

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
	// Object is the object that can't be read or locked, such as
	// "table orders", where pg_dump names one.
	Object string
	// Server and Tool are versions, for KindVersion.
	Server, Tool string
	// Detail is the end of what pg_dump said, scrubbed.
	Detail string
	// Err is how the process or the reading of its output ended.
	Err error
}

// Error tells kind and detail.
func (e *DumpError) Error() string {
	s := "dump schema (" + string(e.Kind) + ")"
	if e.Detail != "" {
		s += ": " + e.Detail
	} else if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap gives the process's or the reader's error.
func (e *DumpError) Unwrap() error { return e.Err }

// dumpError makes an error of what pg_dump said and how it ended.
func (t Tools) dumpError(text string, waitErr, readErr error) *DumpError {
	e := classify(text)
	if e.Kind == KindVersion && e.Tool == "" {
		e.Tool = t.Version
	}
	e.Err = errors.Join(waitErr, readErr)
	if waitErr == nil || readErr != nil && !errors.Is(readErr, io.ErrUnexpectedEOF) {
		// Then it is the output that ended pg_dump, or us.
		e.Kind, e.Err = KindArchive, readErr
	}
	return e
}

var (
	versions   = regexp.MustCompile(`server version: ([^\s;]+)[^;]*; pg_dump version: (\S+)`)
	denied     = regexp.MustCompile(`permission denied for ((?:materialized view|foreign-data wrapper|foreign server|large object|[a-z]+) [^\n]+)`)
	lockTables = regexp.MustCompile(`LOCK TABLE ([^\n]+?) IN ACCESS SHARE MODE`)
)

// classify reads pg_dump's messages. They carry no SQLSTATE; a server that
// speaks another language than English leaves some of them KindOther.
func classify(text string) *DumpError {
	e := &DumpError{Kind: KindOther, Detail: text}
	has := func(parts ...string) bool {
		for _, p := range parts {
			if strings.Contains(text, p) {
				return true
			}
		}
		return false
	}
	switch m, d := versions.FindStringSubmatch(text), denied.FindStringSubmatch(text); {
	case m != nil:
		e.Kind, e.Server, e.Tool = KindVersion, m[1], m[2]
	case has("password authentication failed", "no password supplied", "no pg_hba.conf entry", "is not permitted to log in") ||
		has("FATAL:") && has("permission denied for database", "does not exist"):
		e.Kind = KindLogin
	case d != nil:
		e.Kind, e.Object = KindPermission, strings.TrimSpace(d[1])
	case has("could not open snapshot", "invalid snapshot identifier", "could not import the requested snapshot", `snapshot "`):
		e.Kind = KindSnapshot
	case has("out of shared memory", "max_locks_per_transaction"):
		e.Kind = KindLocks
	case has("lock timeout") || has("statement timeout") && lockTables.MatchString(text):
		e.Kind = KindLock
		// One statement may lock many tables: then none of them is the one.
		if l := lockTables.FindStringSubmatch(text); l != nil && !strings.Contains(l[1], ", ") {
			e.Object = "table " + l[1]
		}
	case has("connection to server", "could not connect", "could not translate host name", "server closed the connection",
		"terminating connection", "SSL error", "connection to database"):
		e.Kind = KindConnection
	}
	return e
}
