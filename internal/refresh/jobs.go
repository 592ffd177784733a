package refresh

const (
	// fewestJobs suits a small compute: two cores copy, two build.
	fewestJobs = 4
	// mostJobs is what pays before the servers' disks and logs are the limit.
	mostJobs = 8
)

// freeSlots counts the connections that our role could still open: on the
// server, and within its own limit.
const freeSlots = `SELECT least(
	current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
		- coalesce(current_setting('reserved_connections', true), '0')::int
		- (SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE backend_type = 'client backend'),
	(SELECT CASE WHEN rolconnlimit >= 0 THEN rolconnlimit - (SELECT count(*) FROM pg_catalog.pg_stat_activity a WHERE a.usename = r.rolname) END
		FROM pg_catalog.pg_roles r WHERE rolname = current_user))`

// jobsFor says how many tables to copy at once. More cores carry more, and both
// servers must have connections to spare: the source half of what it has, for
// the application comes first. Beside the copies there are a
// holder and a dump on the source; on the target each job may copy and build,
// and a few sessions are ours already.
func jobsFor(cores, onSource, onTarget int) int {
	const beside = 3
	jobs := min(max(cores, fewestJobs), mostJobs)
	return max(1, min(jobs, onSource/2-beside, (onTarget-beside)/2))
}
