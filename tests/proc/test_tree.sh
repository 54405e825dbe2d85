#!/bin/bash
# Mounts a fake tree in a mount namespace of its own and uses it with the shell: what daemon/proc
# promises about reading, writing, limits, stopping and dying. Usage: test_tree.sh MOUNT_FAKE_TREE
set -u

if [ -z "${MASQGATE_INSIDE:-}" ]; then
  if [ ! -r /dev/fuse ] || [ ! -w /dev/fuse ]; then echo "skipped: /dev/fuse may not be opened"; exit 77; fi
  [ "$(id -u)" = 0 ] && how=-m || how=-Urm
  MASQGATE_INSIDE=1 exec unshare $how --propagation private timeout -k 5 240 bash "$0" "$@"
fi

fake_tree=$1
place=$(mktemp -d)
tree=$place/run/tree
failures=0
daemon=
trap 'kill -9 $daemon 2>/dev/null; wait 2>/dev/null; umount -l "$tree" 2>/dev/null; rm -rf --one-file-system "$place"' EXIT

check() {  # check WHAT EXPECTED ACTUAL
  if [ "$2" = "$3" ]; then echo "ok: $1"; else
    echo "FAILED: $1"; echo "  expected: $2"; echo "  actual:   $3"; failures=$((failures + 1)); fi
}
wait_for() {  # wait_for WHAT COMMAND...: until the command succeeds
  local what=$1; shift
  for _ in $(seq 200); do "$@" && return; sleep 0.05; done
  check "$what" "in the end" "not within 10 s"
}
start() {  # start ARGUMENTS...: returns when the tree is mounted
  : > "$place/out"
  "$fake_tree" "$tree" "$@" > "$place/out" 2> "$place/err" &
  daemon=$!
  wait_for "the fake tree starts" grep -q ready "$place/out"
  [ -s "$place/out" ] || { cat "$place/err"; exit 1; }
}
stop() { kill "$daemon"; wait "$daemon"; check "$1: stops by itself" "0 stopped" "$? $(tail -1 "$place/out")"; daemon=; sanitizer; }
sanitizer() { grep -A40 -E "==ERROR|runtime error" "$place/err" && failures=$((failures + 1)); }
mounts() { grep -c " fuse.masqgate " /proc/self/mountinfo; }
complaint() { LC_ALL=C bash -c "$1" 2>&1 | sed 's/.*: //'; }
none_open() { [ "$(counter open_files)" = 1 ]; }  # the counters themselves
counter_is() { [ "$(counter "$1")" -ge "$2" ]; }
counter() { sed -n "s/^ *\"$1\": \([0-9]*\),\{0,1\}$/\1/p" "$tree/counters"; }

echo "# reading"
start
check "a missing directory is made and carries one mount" 1 "$(mounts)"
check "folders list names" "big both broken connections counters document log net release slow sys unavailable versioned" \
  "$(cd "$tree" && echo *)"
check "folders below folders" "ip_masq ip_masquerade" "$(cd "$tree/net" && echo *)"
check "find sees every file" 15 "$(find "$tree" -type f | wc -l)"
check "a text is exact" "$(printf 'masquerade\n' | md5sum)" "$(md5sum < "$tree/net/ip_masquerade")"
check "an empty text is empty" "" "$(cat "$tree/net/ip_masq/udp")"
check "a document has two spaces and a newline" "$(printf '{\n  "a": 1\n}\n' | md5sum)" "$(md5sum < "$tree/document")"
check "a node with both shows its text" text "$(cat "$tree/both")"
check "a node with children to remove is a file" "[]" "$(cat "$tree/connections")"
check "modes" "444 644 444 200 555" \
  "$(cd "$tree" && echo $(stat -c %a net/ip_masquerade sys/net/ipv4/ip_forward versioned release net))"
check "size 0, as in /proc" 0 "$(stat -c %s "$tree/big")"
check "a broken node is an I/O error" "Input/output error" "$(complaint "cat $tree/broken")"
check "an unavailable node says so" "Resource temporarily unavailable" "$(complaint "cat $tree/unavailable")"
check "no such file" "No such file or directory" "$(complaint "cat $tree/net/nothing")"
check "not a folder" "Not a directory" "$(complaint "cat $tree/both/nothing")"
check "nothing can be made" 1 "$(touch "$tree/net/new" 2>/dev/null; echo $?)"
check "nothing can be removed" 1 "$(rm "$tree/both" 2>/dev/null; echo $?)"
check "chmod is refused" "Operation not permitted" "$(complaint "chmod 777 $tree/both")"

echo "# one open file is one moment"
check "reading in pieces of 7 bytes equals reading at once" "$(head -c 7000 "$tree/big" | tr -d '0-9' | md5sum)" \
  "$(dd if="$tree/big" bs=7 count=1000 status=none | tr -d '0-9' | md5sum)"
check "a large text has one opening's lines" 1 "$(uniq "$tree/big" | wc -l)"
check "dd may skip" "ning" "$(dd if="$tree/big" bs=1 skip=3 count=4 status=none)"
exec 5< "$tree/big"; head -c 100 <&5 > "$place/first"; cat "$tree/big" > /dev/null; cat <&5 >> "$place/first"; exec 5<&-
check "an open file does not see later openings" 1 "$(uniq "$place/first" | grep -c opening)"
wait_for "all files closed" none_open
check "closed files hold no memory" "1 0" "$(counter open_files) $(counter snapshot_bytes)"

echo "# writing"
forward=$tree/sys/net/ipv4/ip_forward
echo 0 > "$forward"; check "echo writes" 0 "$(cat "$forward")"
echo 1 >> "$forward"; check "appending writes" 1 "$(cat "$forward")"
check "a bad value is refused by write(2)" "Invalid argument" "$(complaint "echo 7 > $forward")"
check "and changes nothing" 1 "$(cat "$forward")"
check "each write(2) is one value" "first;second;" "$(exec 6>> "$tree/log"; printf first >&6; printf second >&6; tr -d '\n' < "$tree/log")"
check "a second write at an offset is refused" "Invalid argument" "$(complaint "(printf x; printf y) > $tree/log")"
echo '{"b": [1, 2]}' > "$tree/document"
check "a document is parsed" '{"b":[1,2]}' "$(tr -d ' \n' < "$tree/document")"
check "what is no JSON is refused" "Invalid argument" "$(complaint "echo '{' > $tree/document")"
check "what is no object is refused" "Invalid argument" "$(complaint "echo 3 > $tree/document")"
check "a read-only node is refused even to root" "Permission denied" "$(complaint "echo 1 > $tree/net/ip_masquerade")"
check "a versioned document is written by REST only" "Permission denied" "$(complaint "echo '{}' > $tree/versioned")"
check "a write-only node cannot be read" "Permission denied" "$(complaint "cat $tree/release")"
check "65536 bytes are the most" 0 "$(head -c 65536 /dev/zero | dd of="$tree/log" bs=65536 iflag=fullblock status=none 2>&1 | wc -l)"
check "more is too big" "File too large" "$(complaint "head -c 65537 /dev/zero | dd of=$tree/log bs=65537 iflag=fullblock status=none")"
check "much more, too" "File too large" "$(complaint "head -c 1000000 /dev/zero | dd of=$tree/log bs=1000000 iflag=fullblock status=none")"
check "and counted" 2 "$(counter refused_size)"

echo "# other users"
chmod 755 "$place" "$place/run"
somebody() { setpriv --reuid 65534 --regid 65534 --clear-groups "$@"; }
if [ "$(id -u)" = 0 ] && somebody true 2> /dev/null; then
  check "may read" text "$(somebody cat "$tree/both")"
  check "may not write" "Permission denied" "$(complaint "setpriv --reuid 65534 --clear-groups bash -c 'echo 0 > $forward'")"
  check "may not read what cannot be read" 1 "$(somebody cat "$tree/release" > /dev/null 2>&1; echo $?)"
fi

echo "# a slow node holds up nobody"
cat "$tree/slow" > "$place/slow" & reader=$!
for _ in $(seq 50); do cat "$tree/both"; done > "$place/meanwhile"
check "fifty others are read meanwhile" 50 "$(wc -l < "$place/meanwhile")"
cat "$tree/slow" & victim=$!
wait_for "both wait" counter_is open_files 3
kill -9 $victim; wait $victim 2>/dev/null
wait_for "it is noticed" counter_is interrupted 1
check "a reader killed while waiting is let go" 1 "$(counter interrupted)"
echo > "$tree/release"; wait $reader
check "the other gets its text" slow "$(cat "$place/slow")"
stop "with nobody there"
check "nothing stays mounted" 0 "$(mounts)"

echo "# limits"
start small-limits
exec 3< "$tree/both" 4< "$tree/both" 5< "$tree/both" 6< "$tree/both" 7< "$tree/both" 8< "$tree/both"
check "the ninth open file is refused" "Too many open files in system" \
  "$(complaint "exec 3< $tree/both 9< $tree/both; cat $tree/both")"
exec 3<&- 4<&- 5<&- 6<&- 7<&- 8<&-
check "three of three megabytes are too much" "Cannot allocate memory" \
  "$(complaint "exec 3< $tree/big 4< $tree/big; cat $tree/big | tail -1")"
for _ in 1 2 3 4; do cat "$tree/slow" > /dev/null & done
wait_for "a fifth running node is refused" bash -c "! cat $tree/both 2> /dev/null"
for job in $(jobs -p); do [ "$job" = "$daemon" ] || { kill -9 "$job"; wait "$job" 2> /dev/null; }; done
stop "with abandoned work"

echo "# stopping with files and folders in use"
start
exec 7< "$tree/big"; head -c 10 <&7 > /dev/null
cat "$tree/slow" > "$place/slow" 2>&1 & reader=$!
(cd "$tree/net" && exec sleep 100) & sitter=$!
wait_for "all there" counter_is open_files 3
stop "in use"
wait $reader; check "who waits gets an error" "1 1" "$? $(grep -c slow "$place/slow")"
check "who reads on gets an error" 1 "$(cat <&7 > /dev/null 2>&1; echo $?)"
check "nothing stays mounted" 0 "$(mounts)"
check "the directory is there and empty" "empty" "$([ -d "$tree" ] && [ -z "$(ls -A "$tree")" ] && echo empty)"
kill $sitter; exec 7<&-

echo "# dying, and starting again over the dead mount"
start
kill -9 $daemon; wait $daemon 2>/dev/null
check "the dead mount is there" "1 Transport endpoint is not connected" "$(mounts) $(complaint "ls $tree")"
start
check "one living mount instead" "1 text" "$(mounts) $(cat "$tree/both")"
umount -l "$tree"
wait_for "it notices being unmounted" grep -q "unmounted by somebody else" "$place/err"
stop "without its mount"

echo "# a connection that is handed over"
start handed-over
check "reads" "text" "$(cat "$tree/both")"
stop "handed over"
check "nothing stays mounted" 0 "$(mounts)"

echo "# without root, where /dev/fuse may be opened"
mknod "$place/fuse" c 10 229 2> /dev/null && chmod 666 "$place/fuse" && mount --bind "$place/fuse" /dev/fuse && {
  install -d -o 65534 "$place/own"
  setpriv --reuid 65534 --regid 65534 --clear-groups unshare -Urm bash -c "
    '$fake_tree' '$place/own/tree' > '$place/own/out' 2>&1 & daemon=\$!
    until grep -q . '$place/own/out'; do sleep 0.05; done
    cat '$place/own/tree/both'; kill \$daemon; wait \$daemon; tail -1 '$place/own/out'" > "$place/rootless" 2>&1
  check "reads and stops" "text stopped" "$(paste -sd ' ' "$place/rootless")"
  umount /dev/fuse
}

echo "# places that will not do"
refused() { "$fake_tree" "$tree" 2>&1; }
touch "$tree/file"; check "a full directory" 1 "$(refused | grep -c 'is not empty')"; rm "$tree/file"
mount -t tmpfs none "$tree"; check "somebody else's mount" 1 "$(refused | grep -c 'file system of type tmpfs')"; umount "$tree"
rmdir "$tree"; ln -s "$place" "$tree"; check "a symbolic link" 1 "$(refused | grep -c 'symbolic links are refused')"; rm "$tree"
touch "$tree"; check "a file" 1 "$(refused | grep -c 'no directory to mount')"; rm "$tree"
mknod "$place/null" c 1 3 2>/dev/null && chmod 000 "$place/null" && mount --bind "$place/null" /dev/fuse &&
  check "no permission for /dev/fuse says what to do" 1 \
    "$(setpriv --reuid 65534 --clear-groups "$fake_tree" "$(mktemp -du)" 2>&1 | grep -c '/dev/fuse may not be opened: start as root')" &&
  umount /dev/fuse
echo "# $failures failures"
[ $failures = 0 ]
