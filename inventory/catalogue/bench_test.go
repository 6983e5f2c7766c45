package catalogue_test
import ("testing";"bufio";"os";"fmt";"time";"runtime";"holdfast/inventory";"path/filepath")
func TestBig(t *testing.T){
 p:=filepath.Join(t.TempDir(),"big.json"); f,_:=os.Create(p); w:=bufio.NewWriter(f)
 fmt.Fprint(w,"{\"service_availability\":[{\"availability\":[")
 n:=1000000
 for i:=0;i<n;i++{ if i>0{fmt.Fprint(w,",\n")}; fmt.Fprintf(w,`{"spots_total":1,"spots_open":1,"duration_sec":3600,"service_id":"reservation","start_sec":%d,"merchant_id":"dining-1","resources":{"party_size":6},"confirmation_mode":"CONFIRMATION_MODE_SYNCHRONOUS"}`,1535853600+i*60)}
 fmt.Fprint(w,"]}],"+metadata+"}"); w.Flush(); f.Close()
 st,_:=os.Stat(p); fmt.Println(st.Size()>>20,"MB")
 t0:=time.Now(); file:=mustOpen(t,p); fmt.Println("open",time.Since(t0))
 feed:=oneFeed(t,file)
 t0=time.Now(); c,_,err:=feed.CheckAvailability(known{}); var m runtime.MemStats; runtime.ReadMemStats(&m); fmt.Println("check",c,err,time.Since(t0),m.HeapAlloc>>20,m.Sys>>20)
 t0=time.Now(); feed.Availability(known{},func(inventory.Published)error{return nil}); fmt.Println("walk",time.Since(t0))
}
