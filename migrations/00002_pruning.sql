-- +goose Up

-- What is old is found by its time, and deleted.
CREATE INDEX webhook_delivery_received ON webhook_delivery (received_at);
CREATE INDEX sync_run_event_at ON sync_run_event (at);

-- +goose Down
DROP INDEX webhook_delivery_received, sync_run_event_at;
