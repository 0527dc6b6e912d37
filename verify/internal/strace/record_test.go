package strace

import (
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// traced writes bytes as strace -xx does.
func traced(b []byte) string {
	var out strings.Builder
	for _, c := range b {
		fmt.Fprintf(&out, `\x%s`, hex.EncodeToString([]byte{c}))
	}
	return out.String()
}

// read returns the record of some lines, and what came from each source.
func read(t *testing.T, lines ...string) (*Record, map[string]string) {
	t.Helper()
	in := make(map[string]string)
	r, err := Read(strings.NewReader(strings.Join(lines, "\n")+"\n"), func(source string, data []byte) { in[source] += string(data) })
	if err != nil {
		t.Fatal(err)
	}
	return r, in
}

// What comes in is given, by source, however it comes: in one read or two, with
// other threads in between, in a vector, as a name or a value, on a command line or in an
// environment.
func TestInput(t *testing.T) {
	const secret = "the secret of thirty-two letters"
	a, b := traced([]byte(secret[:10])), traced([]byte(secret[10:]))
	all := traced([]byte(secret))
	for name, lines := range map[string][]string{
		"one read":  {`7 read(3<socket:[1]>, "` + all + `", 4096) = 32`},
		"two reads": {`7 read(3<socket:[1]>, "` + a + `", 4096) = 10`, `8 read(3<socket:[1]>, "` + b + `", 4096) = 22`},
		"others in between": {`7 read(3<socket:[1]>,  <unfinished ...>`, `8 read(4<socket:[2]>,  <unfinished ...>`,
			`8 <... read resumed>"` + traced([]byte("abc")) + `", 4096) = 3`, `7 <... read resumed>"` + all + `", 4096) = 32`},
		"a vector":    {`7 readv(3<socket:[1]>, [{iov_base="` + a + `", iov_len=10}, {iov_base="` + b + `", iov_len=99}], 2) = 32`},
		"argument":    {`7 execve("` + traced([]byte("/r")) + `", ["` + traced([]byte("/r")) + `", "` + all + `"], []) = 0`},
		"environment": {`7 execve("` + traced([]byte("/r")) + `", ["` + traced([]byte("/r")) + `"], ["` + all + `"]) = 0`},
		"link":        {`7 readlinkat(AT_FDCWD<` + traced([]byte("/tmp")) + `>, "` + traced([]byte("l")) + `", "` + all + `", 4096) = 32`},
		"attribute":   {`7 getxattr("` + traced([]byte("f")) + `", "` + traced([]byte("user.k")) + `", "` + all + `", 128) = 32`},
		"file name":   {`7 getdents64(5<` + traced([]byte("/tmp")) + `>, [{d_ino=1, d_off=2, d_reclen=24, d_type=DT_REG, d_name="` + all + `"}], 32768) = 72`},
		"queue":       {`7 msgrcv(0, {mtype=1, mtext="` + all + `"}, 9, 0, 0) = 9`},
		"address":     {`7 accept4(14<socket:[9]>, {sa_family=AF_UNIX, sun_path=@"` + all + `"}, [110 => 13], SOCK_CLOEXEC) = 16<socket:[8]>`},
	} {
		r, in := read(t, lines...)
		if !slices.ContainsFunc(slices.Collect(maps.Values(in)), func(s string) bool { return strings.Contains(s, secret) }) || r.Hidden != nil {
			t.Errorf("%s: %q, hidden: %q", name, in, r.Hidden)
		}
	}
}

// What the record does not show is said; what only looks like it is not.
func TestHidden(t *testing.T) {
	open := `7 openat(AT_FDCWD<` + traced([]byte("/tmp")) + `>, "` + traced([]byte("d, x")) + `", O_RDWR) = 3<` + traced([]byte("/tmp/d, x")) + `>`
	file := `<` + traced([]byte("/tmp/d, x")) + `>`
	memory := `5<` + traced([]byte("/memfd:a")) + `>(deleted)`
	for want, lists := range map[string][][]string{
		"": {
			{open, `7 mmap(NULL, 3, PROT_READ, MAP_SHARED, 3` + file + `, 0) = 0x7faaa8563000`},
			{`7 mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_SHARED|MAP_ANONYMOUS, -1, 0) = 0x7faaa83ba000`},
			{open, `7 sendfile(8<socket:[89866]>, 3` + file + `, [0] => [3], 3) = 3`},
			{`7 splice(12<socket:[1]>, NULL, 5<pipe:[2]>, NULL, 3, 0) = 3`},
			{`7 io_uring_setup(8, 0x7ffe) = -1 ENOSYS (Function not implemented)`},
			{`7 clone(child_stack=0xc000, flags=CLONE_VM|CLONE_THREAD) = 9`},
		},
		"mmap of a descriptor that it has not opened itself": {
			{`7 mmap(NULL, 3, PROT_READ, MAP_SHARED, 3` + file + `, 0) = 0x7faaa8563000`},
			{`7 mmap(NULL, 3, PROT_READ, MAP_SHARED, 3<socket:[9]>, 0) = 0x7faaa8563000`},
		},
		"mmap of a file that has no name any more": {
			{open, `7 mmap(NULL, 3, PROT_READ, MAP_SHARED, 3` + file + `(deleted), 0) = 0x7faaa8563000`},
			{`7 memfd_create("` + traced([]byte("a")) + `", MFD_CLOEXEC) = ` + memory, `7 mmap(NULL, 10, PROT_READ, MAP_SHARED, ` + memory + `, 0) = 0x7faaa8563000`},
		},
		"splice to a file":          {{`7 splice(12<pipe:[89871]>, NULL, ` + memory + `, NULL, 3, 0) = 3`}},
		"sendfile to a file":        {{`7 sendfile(` + memory + `, 3<socket:[1]>, [0] => [3], 3) = 3`}},
		"copy_file_range to a file": {{`7 copy_file_range(3` + file + `, [0] => [3], ` + memory + `, NULL, 3, 0) = 3`}},
		"io_uring_setup":            {{`7 io_uring_setup(8, {flags=0}) = 6<anon_inode:[io_uring]>`}},
		"pidfd_getfd":               {{`7 pidfd_getfd(4<anon_inode:[pidfd]>, 3, 0) = 5` + file}},
		"a process that is not recorded (CLONE_UNTRACED)": {{`7 clone(child_stack=NULL, flags=CLONE_UNTRACED|SIGCHLD) = 9`}},
	} {
		for _, lines := range lists {
			if r, _ := read(t, lines...); strings.Join(r.Hidden, "; ") != want {
				t.Errorf("%s: hidden: %q, not %q", lines, r.Hidden, want)
			}
		}
	}
}

func TestSourcesAndFiles(t *testing.T) {
	r, in := read(t,
		`7 read(3<socket:[1]>, 0xc0001, 4096) = -1 EAGAIN (Resource temporarily unavailable)`,
		`7 read(3<socket:[1]>, "`+traced([]byte("half"))+`", 4096) = 4`,
		`7 read(4<socket:[2]>, "`+traced([]byte("other"))+`", 4096) = 5`,
		`7 openat(AT_FDCWD, "`+traced([]byte("/etc/hosts"))+`", O_RDONLY) = 5</etc/hosts>`,
		`7 openat(AT_FDCWD, "`+traced([]byte("/none"))+`", O_RDONLY) = -1 ENOENT (No such file or directory)`,
		`7 mmap(NULL, 3, PROT_READ, MAP_SHARED, 5</etc/hosts>, 0) = 0x7faaa8563000`,
		`7 +++ exited with 0 +++`)
	if len(in) != 2 || in["3<socket:[1]>"] != "half" || in["4<socket:[2]>"] != "other" {
		t.Errorf("%q", in)
	}
	if !slices.Equal(r.Opened, []string{"/etc/hosts"}) || !slices.Equal(r.Mapped, r.Opened) || r.Bytes != 9 {
		t.Errorf("opened %q, mapped %q, %d B", r.Opened, r.Mapped, r.Bytes)
	}
}

// A record with gaps is no record.
func TestRefusesGaps(t *testing.T) {
	ignore := func(string, []byte) {}
	_, err := Read(strings.NewReader(`7 read(3<socket:[1]>, "`+traced([]byte("abc"))+`"..., 4096) = 4096`+"\n"), ignore)
	if !errors.Is(err, ErrIncomplete) {
		t.Errorf("%v", err)
	}
	if _, err := Read(strings.NewReader(`7 read(3, "plain text", 4096) = 10`+"\n"), ignore); err == nil {
		t.Error("text that is not in hexadecimal is taken")
	}
}

// Whatever stands in a record, reading it ends, and counts what it gives.
func FuzzRead(f *testing.F) {
	f.Add(`7 read(3<socket:[1]>,  <unfinished ...>` + "\n" + `7 <... read resumed>"` + traced([]byte("abc")) + `", 4096) = 3` + "\n")
	f.Add(`7 openat(AT_FDCWD, "` + traced([]byte("/f")) + `", O_RDONLY) = 3</f>` + "\n" + `7 mmap(NULL, 3, PROT_READ, MAP_SHARED, 3</f>, 0) = 0x7f` + "\n")
	f.Add(`7 splice(12<pipe:[1]>, NULL, 5</memfd:a>(deleted), NULL, 3, 0) = 3` + "\n" + `7 execve("", [], []) = 0`)
	f.Fuzz(func(t *testing.T, text string) {
		total := int64(0)
		r, err := Read(strings.NewReader(text), func(_ string, data []byte) { total += int64(len(data)) })
		if err != nil {
			return
		}
		if r.Bytes != total {
			t.Errorf("%d B given, %d counted", total, r.Bytes)
		}
		for _, name := range r.Mapped {
			if !slices.Contains(r.Opened, name) {
				t.Errorf("%q was mapped, and not opened", name)
			}
		}
	})
}
