#!/bin/bash
# masqgate as a service, on a machine that boot_systemd.sh made: installed, started, asked through both doors,
# reloaded, killed, hung, upgraded by restart, stopped; and then the machine is as it was.
#
#   house 192.168.1.10 ── eth1 ┌─────────┐ eth0 ── provider 203.0.113.1
#                   192.168.1.1│  this   │203.0.113.2
#                              └─────────┘
set -u
failures=0
tree=/run/masqgate/tree
forward=$tree/sys/net/ipv4/ip_forward
configuration=/etc/masqgate/masqgate.json

check() {  # check WHAT EXPECTED ACTUAL
  if [ "$2" = "$3" ]; then echo "ok: $1"; else
    echo "FAILED: $1"; echo "  expected: $2"; echo "  actual:   $3"; failures=$((failures + 1)); fi
}
wait_for() {  # wait_for WHAT COMMAND...: until the command succeeds
  local what=$1; shift
  local end=$((SECONDS + 30))
  while [ $SECONDS -lt $end ]; do "$@" > /dev/null 2>&1 && return; sleep 0.05; done
  check "$what" "in the end" "not within 30 s"
}
property() { systemctl show masqgated -P "$1"; }
# Another process than this one runs; the process is asked for first, because the state lags behind a death.
active_after() {
  local now; now=$(property MainPID)
  [ "$now" != "$1" ] && [ "$now" != 0 ] && [ "$(property ActiveState) $(property SubState)" = "active running" ]
}
rest() { curl -sS --max-time 10 --unix-socket /run/masqgate/api.sock "$@"; }
in_tree() { LC_ALL=C timeout 10 "$@" 2>&1 | sed 's/.*: //'; }
house() { ip netns exec house "$@"; }
journal_says() { journalctl -u masqgated -o cat --no-pager | grep -q "$1"; }
doors_are_open() { rest http://localhost/v1/status && timeout 2 cat "$forward"; }

dad_is_over() { ! ip -6 addr show tentative | grep -q .; }

# What stop must bring back: links, addresses, routes, rules, mounts, and no process of ours.
machine() {
  wait_for "duplicate addresses are looked for" dad_is_over
  ip -o -d link | sed -E 's/^[0-9]+: //; s/ (qlen|promiscuity|allmulti) [0-9]+//g'
  ip -o addr | sed -E 's/^[0-9]+: //; s/(valid|preferred)_lft [0-9a-z]+//g'
  ip -4 route show table all | sort; ip -6 route show table all | sort; ip rule; ip -6 rule
  awk '{print $5, $9, $10}' /proc/self/mountinfo | grep -v '^/run/netns\|^/run/credentials\|^/run/user' | sort
  pgrep -l -u masqgate
}
cable() {  # cable NIC NAMESPACE ADDRESS-THERE
  ip netns add "$2"
  ip link add "$1" type veth peer name eth0 netns "$2"
  ip link set "$1" up
  ip -n "$2" addr add "$3" dev eth0
  ip -n "$2" link set eth0 up
  ip -n "$2" link set lo up
  ip netns exec "$2" ethtool -K eth0 tx off > /dev/null  # wrong checksums are seen
}

cable eth1 house 192.168.1.10/24
cable eth0 provider 203.0.113.1/24
ip -n house route add default via 192.168.1.1
ip addr add 192.168.1.1/24 dev eth1
ip addr add 203.0.113.2/24 dev eth0
ip route add default via 203.0.113.1
ip route add 10.9.0.0/16 via 203.0.113.9 metric 50

echo "# installing"
systemd-sysusers
systemctl daemon-reload
# Where the build has sanitizers: leaks are looked for with ptrace, which the sandbox rightly forbids.
systemctl set-environment ASAN_OPTIONS=detect_leaks=0
check "sysusers made the user" "masqgate" "$(id -un masqgate)"
check "the unit is one that systemd finds no fault with" "" "$(systemd-analyze verify masqgated.service 2>&1 | grep masqgate)"
systemd-analyze security --offline=true --threshold=20 --no-pager masqgated.service > /tmp/security
check "its exposure is at most 2.0" 0 $?
check "the example is a good configuration" 0 "$(masqgated --config $configuration --check > /dev/null 2>&1; echo $?)"
machine > /tmp/before

echo "# starting"
systemctl start masqgated
check "start succeeds" "0 active" "$? $(property ActiveState)"
check "it runs as its own user" masqgate "$(ps -o user= -p "$(property MainPID)")"
check "it has one capability and cannot get more" "0000000000001000 1" \
  "$(awk '/CapBnd/ {b = $2} /NoNewPrivs/ {n = $2} END {print b, n}' "/proc/$(property MainPID)/status")"
check "systemctl status says something" 1 "$(property StatusText | grep -c .)"
check "the NICs carry no IPv4 address" "" "$(ip -4 -o addr show dev eth0; ip -4 -o addr show dev eth1)"
check "the ports do" "192.168.1.1/24 203.0.113.2/24" \
  "$(ip -4 -o addr show dev lan | awk '{print $4}') $(ip -4 -o addr show dev wan | awk '{print $4}')"
check "the routes moved along" "wan wan" \
  "$(ip route show default | sed 's/.* dev \([a-z]*\).*/\1/') $(ip route show 10.9.0.0/16 | sed 's/.* dev \([a-z]*\).*/\1/')"

echo "# both doors"
check "REST answers" '"lan" "wan"' "$(rest http://localhost/v1/config | jq -c '.ports | keys[]' | paste -sd ' ')"
check "REST lists the ports" 200 "$(rest -o /dev/null -w '%{http_code}' http://localhost/v1/ports)"
check "masqctl, too" 0 "$(masqctl status > /dev/null; echo $?)"
check "the tree is mounted for everybody, not only in the unit" "fuse.masqgate" "$(findmnt -n -o FSTYPE $tree)"
check "it is read" 1 "$(in_tree cat $forward)"
check "it is written" 0 "$(echo 0 > $forward; in_tree cat $forward)"; echo 1 > $forward
check "bad values are refused" "Invalid argument" "$(in_tree bash -c "echo maybe > $forward")"
for door in "cat $forward" "curl -sS --unix-socket /run/masqgate/api.sock http://localhost/v1/status"; do
  check "strangers stay outside: ${door%% *}" 1 "$(setpriv --reuid nobody --regid nogroup --clear-groups $door > /dev/null 2>&1 && echo 0 || echo 1)"
done
check "members of the group come in" 1 "$(setpriv --reuid nobody --regid masqgate --clear-groups cat $forward)"

echo "# forwarding"
wait_for "the house reaches the provider" house ping -c 1 -W 1 203.0.113.1
ip netns exec provider python3 -m http.server --bind 203.0.113.1 80 > /tmp/seen 2>&1 &
web=$!
wait_for "the web server is there" ip netns exec provider curl -s -o /dev/null http://203.0.113.1/
check "a page comes through" 200 "$(house curl -s --max-time 10 -o /dev/null -w '%{http_code}' http://203.0.113.1/)"
check "asked for by the router's address" 203.0.113.2 "$(tail -1 /tmp/seen | awk '{print $1}')"
check "the tree shows who speaks for whom" 1 "$(grep -c 'src=192.168.1.10 dst=203.0.113.1 .*dport=80 .*dst=203.0.113.2' $tree/net/nf_conntrack)"
check "the machine itself reaches the provider" 0 "$(ping -c 1 -W 5 203.0.113.1 > /dev/null; echo $?)"

echo "# reloading"
pid=$(property MainPID)
cp $configuration /tmp/good.json
sed -i 's/{"id": "out",/{"id": "out", "comment": "reloaded",/' $configuration
comment() { rest http://localhost/v1/config | jq -r '.firewall.forward.rules[1].comment'; }
systemctl reload masqgated
check "reload succeeds" "0 reloaded" "$? $(comment)"
echo '{"ports": {"lan": {"nics": 7}}}' > $configuration
systemctl reload masqgated 2> /dev/null
check "a bad document is refused and changes nothing" "1 reloaded" "$? $(comment)"
wait_for "the journal says where the mistake is" journal_says '/ports/lan/nics'
check "nothing restarted" "$pid active" "$(property MainPID) $(property ActiveState)"
cp /tmp/good.json $configuration

echo "# dying and hanging"
(cd $tree/net && exec sleep 1000) & sitter=$!
kill -9 "$pid"
wait_for "killed, it comes back" active_after "$pid"
check "systemd restarted it" 1 "$(property NRestarts)"
wait_for "both doors are open again" doors_are_open
check "there is one tree" 1 "$(grep -c fuse.masqgate /proc/self/mountinfo)"
check "a page comes through" 200 "$(house curl -s --max-time 10 -o /dev/null -w '%{http_code}' http://203.0.113.1/)"
pid=$(property MainPID)
mkdir -p /run/systemd/system/masqgated.service.d
printf '[Service]\nWatchdogSec=3\n' > /run/systemd/system/masqgated.service.d/test.conf
systemctl daemon-reload
systemctl restart masqgated
check "restart succeeds" "0 active" "$? $(property ActiveState)"
pid=$(property MainPID)
kill -STOP "$pid"
wait_for "hung, it is killed by the watchdog and comes back" active_after "$pid"
wait_for "both doors are open again" doors_are_open
check "a page comes through" 200 "$(house curl -s --max-time 10 -o /dev/null -w '%{http_code}' http://203.0.113.1/)"
kill $sitter

echo "# stopping"
pid=$(property MainPID)
systemctl stop masqgated
check "stop succeeds" "0 inactive success" "$? $(property ActiveState) $(property Result)"
machine > /tmp/after
check "the machine is as it was" "" "$(diff /tmp/before /tmp/after)"
check "and reaches the provider" 0 "$(ping -c 1 -W 5 203.0.113.1 > /dev/null; echo $?)"

echo "# what cannot start says why and leaves nothing half done"
sed -i 's/"eth0"/"eth7"/' $configuration
systemctl start masqgated 2> /dev/null
check "a NIC that is not there" 1 $?
systemctl stop masqgated
wait_for "the journal names it" journal_says eth7
check "the machine is as it was" "" "$(machine | diff /tmp/before -)"
cp /tmp/good.json $configuration
systemctl reset-failed masqgated 2> /dev/null
systemctl start masqgated
check "with the right name it starts" "0 active" "$? $(property ActiveState)"
systemctl stop masqgated
sed -i 's/"ip_forward"/"tree": false, "ip_forward"/' $configuration
systemctl start masqgated
check "without a tree it starts" "0 active" "$? $(property ActiveState)"
check "and nobody waits where it would be" "Transport endpoint is not connected" "$(in_tree ls $tree)"
systemctl stop masqgated
check "the machine is as it was" "" "$(machine | diff /tmp/before -)"
kill $web

check "no sanitizer complains" "" "$(journalctl -u masqgated -o cat --no-pager | grep -E 'runtime error|AddressSanitizer')"
echo "# $failures failures"
[ $failures = 0 ] && exit 0
grep -v ✓ /tmp/security
journalctl -u masqgated --no-pager -o short-monotonic | tail -60
exit 1
