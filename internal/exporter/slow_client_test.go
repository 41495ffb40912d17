package exporter

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"

	"github.com/dag-exporter/dag_exporter/internal/config"
)

// stuckClient takes nothing of its answer until it is let go.
type stuckClient struct {
	*httptest.ResponseRecorder
	stuck chan struct{} // closed when it is
	letGo chan struct{}
}

func (c *stuckClient) Write(b []byte) (int, error) {
	select {
	case <-c.stuck:
	default:
		close(c.stuck)
	}
	<-c.letGo
	return c.ResponseRecorder.Write(b)
}

// A client that does not read its answer does not keep the connections of the
// configuration before open: its password is no longer to be used.
func TestReloadWaitsForNoClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, "erp")
		before := b.fleet.side("erp/source")
		client := &stuckClient{httptest.NewRecorder(), make(chan struct{}), make(chan struct{})}
		done := make(chan struct{})
		go func() {
			defer close(done)
			b.Handler().ServeHTTP(client, httptest.NewRequest(http.MethodGet, "/probe?target=erp", nil))
		}()
		<-client.stuck
		b.load = func() (*config.Config, error) {
			c := conf("erp")
			c.DAGs[0].Source.Instances[0] = "sqlserver://sa:hunter3@erp-source?encrypt=strict"
			return c, nil
		}
		wantBody(t, b.do("POST", "/-/reload"), 200)
		synctest.Wait()
		if !before.closed.Load() {
			t.Error("the connection with the old password is still open")
		}
		close(client.letGo)
		<-done
		wantBody(t, client.ResponseRecorder, 200, `mssql_dag_up{dag="erp",side="source"} 1`)
	})
}
