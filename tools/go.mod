module github.com/dag-exporter/dag_exporter/tools

go 1.26.0

require (
	github.com/microsoft/go-mssqldb v1.11.2
	go.yaml.in/yaml/v3 v3.0.6
	golang.org/x/crypto v0.59.0
)

require (
	github.com/golang-sql/civil v0.0.0-20220223132316-b832511892a9 // indirect
	github.com/golang-sql/sqlexp v0.1.0 // indirect
	github.com/google/uuid v1.6.0 // indirect
	github.com/grafana/grafana-foundation-sdk/go v0.0.22 // indirect
	github.com/shopspring/decimal v1.4.0 // indirect
	golang.org/x/text v0.44.0 // indirect
)
