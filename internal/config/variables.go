package config

import "slices"

// A Variable is one name in the environment that the service reads.
type Variable struct {
	Name string
	// Default is what holds when it is unset, in words where it depends.
	Default string
	// Example is a value that would be accepted.
	Example string
	// About says what it is for.
	About string
}

// Variables lists every name that Load reads, in the order in which people
// would set them.
func Variables() []Variable {
	return []Variable{
		{"DATABASE_URL", "role all: a private PostgreSQL", "postgres://neontwin:PASSWORD@db.example.com/neontwin", "control database; a direct host, no pooler"},
		{"AUTO_MIGRATE", "true without DATABASE_URL, else false", "true", "bring the database up to date at start"},
		{"NEONTWIN_DATA_DIR", "a folder of the user's state", "/var/lib/neontwin", "folder of the private PostgreSQL"},
		{"NEONTWIN_PG_BIN", "the newest installed", "/usr/lib/postgresql/18/bin", "folder of PostgreSQL's programs"},

		{"GITHUB_APP_ID", "", "123456", "the App's id"},
		{"GITHUB_PRIVATE_KEY", "", "the PEM, or the base64 of it", "the App's private key"},
		{"GITHUB_PRIVATE_KEY_FILE", "", "/run/secrets/github-app.pem", "a file that holds it"},
		{"GITHUB_WEBHOOK_SECRET", "", "the output of: openssl rand -hex 32", "signs deliveries; at least 32 bytes"},
		{"GITHUB_WEBHOOK_SECRET_FILE", "", "/run/secrets/github-webhook", "a file that holds it"},
		{"GITHUB_WEBHOOK_SECRET_PREVIOUS", "", "the secret before", "accepted too, while a secret is being replaced"},
		{"GITHUB_WEBHOOK_SECRET_PREVIOUS_FILE", "", "/run/secrets/github-webhook-previous", "a file that holds it"},
		{"GITHUB_API_URL", "https://api.github.com", "https://github.example.com/api/v3", "where GitHub's API answers"},
		{"NEON_API_URL", "https://console.neon.tech/api/v2", "https://console.neon.tech/api/v2", "where Neon's API answers"},

		{"NEONTWIN_CONFIG", "", "/etc/neontwin/neontwin.yml", "the operator's file"},
		{"NEONTWIN_MASK_KEY", "", "the output of: openssl rand -hex 32", "what stand-ins in anonymized Twins depend on; keep it, another one changes all of them"},
		{"NEONTWIN_MASK_KEY_FILE", "", "/run/secrets/mask-key", "a file that holds it"},
		{"LISTEN_ADDR", ":8080", ":8080", "webhooks and pages"},
		{"ADMIN_ADDR", "127.0.0.1:9090", "127.0.0.1:9090", "metrics and health; never public"},
		{"PUBLIC_URL", "no links", "https://twins.example.com", "where people reach LISTEN_ADDR"},
		{"LOG_FORMAT", "text on a terminal, else json", "json", "json or text"},
		{"SYNC_CONCURRENCY", "4", "4", "syncs at a time in one worker"},
		{"SHUTDOWN_DRAIN", "240s", "240s", "how long jobs may go on after a signal to stop"},
		{"LEASE_TTL", "3m", "3m", "how long a silent worker keeps its run"},
		{"PROGRESS_EVERY", "30s", "30s", "least time between two reports of progress"},
		{"CATCH_UP_EVERY", "5m", "5m", "how often GitHub is asked for what no webhook told"},

		{"TWIN_REPOSITORY", "", "acme/shop", "whose merges refresh the Twin"},
		{"TWIN_NAME", "staging", "staging", "the Twin's name on check runs"},
		{"SOURCE_DATABASE_URL", "", "postgres://reader:PASSWORD@prod.example.com/shop", "the database to copy; only read"},
		{"TWIN_DATABASE_URL", "", "postgres://owner:PASSWORD@twin.example.com/shop", "the Twin, on any Postgres"},
		{"NEON_API_KEY", "", "a project-scoped key", "the Twin, on Neon: the key"},
		{"NEON_PROJECT_ID", "", "late-frost-123456", "the Twin, on Neon: the project"},
		{"NEON_BRANCH", "", "twin", "the Twin, on Neon: the branch's name or id"},
		{"NEON_DATABASE", "", "shop", "the Twin, on Neon: the database"},
	}
}

// variable finds a Variable by name; the zero one where there is none.
func variable(name string) Variable {
	all := Variables()
	if i := slices.IndexFunc(all, func(v Variable) bool { return v.Name == name }); i >= 0 {
		return all[i]
	}
	return Variable{}
}
