// Package metrics holds what names metrics, the documentation, the dashboard and
// the alerts, to what is served.
package metrics
