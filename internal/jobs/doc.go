// Package jobs carries every promise from a webhook to a published Twin: it
// stores what must be done, hands it to workers, and makes up for those that
// die. It is the only importer of River.
//
// # Our rows are the truth
//
// River only delivers. A River job says "wake up and look at run N"; whether
// there is something to do is decided by our rows, under a lock. A job that
// comes twice, late or not at all is harmless: it finds nothing to do, or the
// sweeper makes another one. No kind of job is unique, and arguments carry ids
// only.
//
//	webhook_process{guid}   a delivery becomes requests, requests become runs
//	schedule_due{twin_id}   a date of a schedule becomes a run
//	sync_run{run_id}        one attempt of a run
//	check_publish{run_id}   what is true of a run now is told to its places
//	clean_target{target_id} what the last run of a target left half loaded goes
//
// # States of a run
//
//	                 claim                     published
//	Enqueue ─▶ queued ─────────▶ running ──────────────────▶ succeeded
//	   │         ▲ │                │ │ └─ refused, or used up ─▶ failed
//	   │         │ │ newer commit   │ │
//	   │         │ └──▶ superseded ◀┘ │ (a newer run waits, and the attempt failed or gave way)
//	   │         └────────────────────┘ try again later; worker died
//	   ├─▶ superseded   a newer commit is known already
//	   └─▶ failed       refused
//
// Of one Twin at most one run is queued and at most one is running, and no two
// runs fill one target: partial unique indexes say so. A queued run has a River
// job unless another run of its Twin is running; that one's end makes the job.
//
// # Leases
//
// A claim draws a token from a sequence. Every later write of that attempt
// (heartbeat, progress, end) names the token, so a worker that wakes up late
// changes nothing. Heartbeats use a small pool of their own. A worker that
// could not extend its lease for five sixths of its length, by its own
// monotonic clock, stops by itself before anybody else can take over. On
// shutdown a worker gives its lease back: the run stays running, the next
// worker claims it at once, and the attempt is not counted.
//
// # Who writes what
//
//	Inserter.Deliver   webhook_delivery, its job
//	Inserter.Enqueue   twin, sync_run (new and superseded ones), places
//	declare            twin: settings and schedules; repository_file
//	schedule_due       what Enqueue does, for a date that is due
//	sync_run           sync_run of its own lease; the job of the run that waits
//	check_publish      check_publication: what was posted
//	clean_target       loading_target, which sync_run writes when it claims and
//	                   when it has published
//	catching up        repository, judged, missed_delivery; deliveries of its own
//	lifecycle          ends runs; purges the tenant of an App that was uninstalled
//	sweeper            whatever a dead process has left, by the same rules;
//	                   finds schedules that are due, and targets to clean;
//	                   deletes deliveries after 7 days and events after 90
//
// Locks are always taken in this order: the repository's row, that of its file,
// the Twin's row (of several the one that was made first), its runs, its
// target's, their places, River's rows.
package jobs
