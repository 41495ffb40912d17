// Package exporter is the HTTP face of dag_exporter: it reads both sides of
// each DAG when it is asked, joins those who ask at the same time, and serves
// what collector makes of it on /metrics and /probe; /sd for discovery, a
// status page, health, and reload.
//
// The two sides are read at the same time and bounded separately: one that
// hangs never delays or hides the other beyond the scrape's own timeout. No
// reading is kept: whoever asks later gets a new one.
package exporter
