package catalogue_test
import ("testing";"time";"os";"fmt")
func FuzzHang(f *testing.F){
	f.Add([]byte(clinic("", "")[12:])); f.Add([]byte(" - {id: *x, <<: [a], ? b : c, !!d e: f, g: |-\n  x\n}\n"))
	f.Add([]byte("merchants:\n - &a {id: 1, name: x}\n - <<: [*a]\n   ? id\n   : !!str 2\n"))
	f.Fuzz(func(t *testing.T, content []byte){
		done:=make(chan bool)
		go func(){ select{case <-done: case <-time.After(20*time.Second): os.WriteFile(fmt.Sprintf("/tmp/hang-%d",len(content)),content,0o644); panic("hang") } }()
		file,err:=from("x",append([]byte("merchants: &x\n"),content...))
		if err==nil && file.Kind=="clinics" { file.Clinics() }
		close(done)
	})
}
