package neontest

import "time"

// The types of this file are Neon's JSON, with every field that its
// description requires. Most of the numbers mean nothing here.

const (
	region      = "sandbox"
	provisioner = "k8s-neonvm"
)

type projectJSON struct {
	ID                          string    `json:"id"`
	Name                        string    `json:"name"`
	PlatformID                  string    `json:"platform_id"`
	RegionID                    string    `json:"region_id"`
	ProxyHost                   string    `json:"proxy_host"`
	OwnerID                     string    `json:"owner_id"`
	PGVersion                   int       `json:"pg_version"`
	StorePasswords              bool      `json:"store_passwords"`
	Provisioner                 string    `json:"provisioner"`
	CreationSource              string    `json:"creation_source"`
	HistoryRetentionSeconds     int       `json:"history_retention_seconds"`
	BranchLogicalSizeLimit      int       `json:"branch_logical_size_limit"`
	BranchLogicalSizeLimitBytes int64     `json:"branch_logical_size_limit_bytes"`
	ConsumptionPeriodStart      time.Time `json:"consumption_period_start"`
	ConsumptionPeriodEnd        time.Time `json:"consumption_period_end"`
	ActiveTimeSeconds           int       `json:"active_time_seconds"`
	ComputeTimeSeconds          int       `json:"compute_time_seconds"`
	CPUUsedSec                  int       `json:"cpu_used_sec"`
	WrittenDataBytes            int       `json:"written_data_bytes"`
	DataTransferBytes           int       `json:"data_transfer_bytes"`
	DataStorageBytesHour        int       `json:"data_storage_bytes_hour"`
	CreatedAt                   time.Time `json:"created_at"`
	UpdatedAt                   time.Time `json:"updated_at"`
}

func wireProject(p *project) projectJSON {
	const limitMB = 16 << 20
	return projectJSON{
		ID: p.ID, Name: p.Name, PlatformID: "sandbox", RegionID: region, ProxyHost: "127.0.0.1", OwnerID: "sandbox",
		StorePasswords: true, Provisioner: provisioner, CreationSource: "console", HistoryRetentionSeconds: 86400,
		BranchLogicalSizeLimit: limitMB, BranchLogicalSizeLimitBytes: limitMB << 20,
		ConsumptionPeriodStart: p.CreatedAt, ConsumptionPeriodEnd: p.CreatedAt.AddDate(0, 1, 0),
		CreatedAt: p.CreatedAt, UpdatedAt: p.CreatedAt,
	}
}

type branchJSON struct {
	ID                 string    `json:"id"`
	ProjectID          string    `json:"project_id"`
	ParentID           string    `json:"parent_id,omitempty"`
	ParentLSN          string    `json:"parent_lsn,omitempty"`
	Name               string    `json:"name"`
	CurrentState       string    `json:"current_state"`
	PendingState       string    `json:"pending_state,omitempty"`
	StateChangedAt     time.Time `json:"state_changed_at"`
	CreationSource     string    `json:"creation_source"`
	InitSource         string    `json:"init_source"`
	Default            bool      `json:"default"`
	Protected          bool      `json:"protected"`
	CPUUsedSec         int       `json:"cpu_used_sec"`
	ActiveTimeSeconds  int       `json:"active_time_seconds"`
	ComputeTimeSeconds int       `json:"compute_time_seconds"`
	WrittenDataBytes   int       `json:"written_data_bytes"`
	DataTransferBytes  int       `json:"data_transfer_bytes"`
	CreatedAt          time.Time `json:"created_at"`
	UpdatedAt          time.Time `json:"updated_at"`
}

func wireBranch(b *branch) branchJSON {
	out := branchJSON{
		ID: b.ID, ProjectID: b.ProjectID, ParentID: b.ParentID, ParentLSN: b.ParentLSN, Name: b.Name,
		CurrentState: b.State, StateChangedAt: b.UpdatedAt, CreationSource: "console", InitSource: "parent-data",
		Default: b.Default, Protected: b.Protected, CreatedAt: b.CreatedAt, UpdatedAt: b.UpdatedAt,
	}
	if b.State == initial {
		out.PendingState = ready
	}
	return out
}

type annotationJSON struct {
	Object struct {
		Type string `json:"type"`
		ID   string `json:"id"`
	} `json:"object"`
	Value     map[string]string `json:"value"`
	CreatedAt time.Time         `json:"created_at"`
	UpdatedAt time.Time         `json:"updated_at"`
}

func wireAnnotation(b *branch) annotationJSON {
	out := annotationJSON{Value: b.Annotation, CreatedAt: b.CreatedAt, UpdatedAt: b.CreatedAt}
	out.Object.Type, out.Object.ID = "console/branch", b.ID
	if out.Value == nil {
		out.Value = map[string]string{}
	}
	return out
}

type endpointJSON struct {
	ID                    string         `json:"id"`
	Host                  string         `json:"host"`
	ProjectID             string         `json:"project_id"`
	BranchID              string         `json:"branch_id"`
	RegionID              string         `json:"region_id"`
	Type                  string         `json:"type"`
	CurrentState          string         `json:"current_state"`
	PendingState          string         `json:"pending_state,omitempty"`
	AutoscalingLimitMinCU float64        `json:"autoscaling_limit_min_cu"`
	AutoscalingLimitMaxCU float64        `json:"autoscaling_limit_max_cu"`
	SuspendTimeoutSeconds int64          `json:"suspend_timeout_seconds"`
	Settings              map[string]any `json:"settings"`
	PoolerEnabled         bool           `json:"pooler_enabled"`
	PoolerMode            string         `json:"pooler_mode"`
	Disabled              bool           `json:"disabled"`
	PasswordlessAccess    bool           `json:"passwordless_access"`
	CreationSource        string         `json:"creation_source"`
	ProxyHost             string         `json:"proxy_host"`
	Provisioner           string         `json:"provisioner"`
	CreatedAt             time.Time      `json:"created_at"`
	UpdatedAt             time.Time      `json:"updated_at"`
}

// wireEndpoints gives the computes of branches. A host alone leads to no
// server here: the port is in the connection URI.
func wireEndpoints(branches ...*branch) []endpointJSON {
	all := []endpointJSON{}
	for _, b := range branches {
		e := b.Endpoint
		if e == nil {
			continue
		}
		out := endpointJSON{
			ID: e.ID, Host: "127.0.0.1", ProjectID: b.ProjectID, BranchID: b.ID, RegionID: region, Type: "read_write",
			CurrentState: "init", PendingState: "active", AutoscalingLimitMinCU: e.MinCU, AutoscalingLimitMaxCU: e.MaxCU,
			SuspendTimeoutSeconds: e.SuspendTimeout, Settings: map[string]any{"pg_settings": map[string]string{}},
			PoolerMode: "transaction", PasswordlessAccess: true, CreationSource: "console", ProxyHost: "127.0.0.1",
			Provisioner: provisioner, CreatedAt: e.CreatedAt, UpdatedAt: e.UpdatedAt,
		}
		if e.Active {
			out.CurrentState, out.PendingState = "active", ""
		}
		all = append(all, out)
	}
	return all
}

type databaseJSON struct {
	ID        int64     `json:"id"`
	BranchID  string    `json:"branch_id"`
	Name      string    `json:"name"`
	OwnerName string    `json:"owner_name"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

func wireDatabases(b *branch, live []liveDatabase) []databaseJSON {
	all := []databaseJSON{}
	for _, d := range live {
		all = append(all, databaseJSON{ID: d.OID, BranchID: b.ID, Name: d.Name, OwnerName: d.Owner, CreatedAt: b.CreatedAt, UpdatedAt: b.CreatedAt})
	}
	return all
}

type roleJSON struct {
	BranchID  string    `json:"branch_id"`
	Name      string    `json:"name"`
	Protected bool      `json:"protected"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

func wireRoles(b *branch, live []string) []roleJSON {
	all := []roleJSON{}
	for _, name := range live {
		all = append(all, roleJSON{BranchID: b.ID, Name: name, CreatedAt: b.CreatedAt, UpdatedAt: b.CreatedAt})
	}
	return all
}

type operationJSON struct {
	ID              string    `json:"id"`
	ProjectID       string    `json:"project_id"`
	BranchID        string    `json:"branch_id"`
	EndpointID      string    `json:"endpoint_id,omitempty"`
	Action          string    `json:"action"`
	Status          string    `json:"status"`
	Error           string    `json:"error,omitempty"`
	FailuresCount   int       `json:"failures_count"`
	CreatedAt       time.Time `json:"created_at"`
	UpdatedAt       time.Time `json:"updated_at"`
	TotalDurationMS int64     `json:"total_duration_ms"`
}

func wireOperations(projectID string, ops []*operation) []operationJSON {
	all := []operationJSON{}
	for _, o := range ops {
		out := operationJSON{
			ID: o.ID, ProjectID: projectID, BranchID: o.BranchID, EndpointID: o.EndpointID, Action: o.Action, Status: o.Status,
			Error: o.Error, CreatedAt: o.CreatedAt, UpdatedAt: o.UpdatedAt, TotalDurationMS: o.UpdatedAt.Sub(o.CreatedAt).Milliseconds(),
		}
		if o.Status == failed {
			out.FailuresCount = 1
		}
		all = append(all, out)
	}
	return all
}
