"""The rule sets that the IP Masquerade HOWTO's generation ran, written from its description (history 3.9): a simple
and a stronger one for each of Linux 2.0, 2.2 and 2.4, as scripts of the commands of their time."""
import lab as l

EXTERNAL, INTERNAL = "wan0", "lan0"
LAN, ADDRESS = l.LAN, f"{l.ROUTER_WAN}/32"

SIMPLE = {
    "2.0": f"""
ipfwadm -M -s 7200 10 160
ipfwadm -F -f
ipfwadm -F -p deny
ipfwadm -F -a m -W {EXTERNAL} -S {LAN} -D 0.0.0.0/0
""",
    "2.2": f"""
ipchains -M -S 7200 10 160
ipchains -P input ACCEPT
ipchains -F input
ipchains -P output ACCEPT
ipchains -F output
ipchains -F forward
ipchains -P forward DENY
ipchains -A forward -i {EXTERNAL} -s {LAN} -j MASQ
""",
    "2.4": f"""
iptables -P INPUT ACCEPT
iptables -F INPUT
iptables -P OUTPUT ACCEPT
iptables -F OUTPUT
iptables -P FORWARD DROP
iptables -F FORWARD
iptables -t nat -F
iptables -A FORWARD -i {EXTERNAL} -o {INTERNAL} -m state --state ESTABLISHED,RELATED -j ACCEPT
iptables -A FORWARD -i {INTERNAL} -o {EXTERNAL} -j ACCEPT
iptables -A FORWARD -j LOG
iptables -t nat -A POSTROUTING -o {EXTERNAL} -j MASQUERADE
""",
}

STRONGER = {
    "2.0": f"""
ipfwadm -M -s 7200 10 60
ipfwadm -I -f
ipfwadm -I -p reject
ipfwadm -I -a accept -W lo -S 0.0.0.0/0 -D 0.0.0.0/0
ipfwadm -I -a accept -W {INTERNAL} -S {LAN} -D 0.0.0.0/0
ipfwadm -I -a reject -W {EXTERNAL} -S {LAN} -D 0.0.0.0/0 -o
ipfwadm -I -a accept -W {EXTERNAL} -S 0.0.0.0/0 -D {ADDRESS}
ipfwadm -I -a reject -S 0.0.0.0/0 -D 0.0.0.0/0 -o
ipfwadm -O -f
ipfwadm -O -p reject
ipfwadm -O -a accept -W lo -S 0.0.0.0/0 -D 0.0.0.0/0
ipfwadm -O -a accept -W {INTERNAL} -S 0.0.0.0/0 -D {LAN}
ipfwadm -O -a reject -W {EXTERNAL} -S 0.0.0.0/0 -D {LAN} -o
ipfwadm -O -a reject -W {EXTERNAL} -S {LAN} -D 0.0.0.0/0 -o
ipfwadm -O -a accept -W {EXTERNAL} -S {ADDRESS} -D 0.0.0.0/0
ipfwadm -O -a reject -S 0.0.0.0/0 -D 0.0.0.0/0 -o
ipfwadm -F -f
ipfwadm -F -p deny
ipfwadm -F -a m -W {EXTERNAL} -S {LAN} -D 0.0.0.0/0
ipfwadm -F -a reject -S 0.0.0.0/0 -D 0.0.0.0/0 -o
""",
    "2.2": f"""
ipchains -M -S 7200 10 60
ipchains -F input
ipchains -P input REJECT
ipchains -A input -i lo -s 0.0.0.0/0 -d 0.0.0.0/0 -j ACCEPT
ipchains -A input -i {INTERNAL} -s {LAN} -d 0.0.0.0/0 -j ACCEPT
ipchains -A input -i {EXTERNAL} -s {LAN} -d 0.0.0.0/0 -l -j REJECT
ipchains -A input -i {EXTERNAL} -s 0.0.0.0/0 -d {ADDRESS} -j ACCEPT
ipchains -A input -s 0.0.0.0/0 -d 0.0.0.0/0 -l -j REJECT
ipchains -F output
ipchains -P output REJECT
ipchains -A output -i lo -s 0.0.0.0/0 -d 0.0.0.0/0 -j ACCEPT
ipchains -A output -i {INTERNAL} -s 0.0.0.0/0 -d {LAN} -j ACCEPT
ipchains -A output -i {EXTERNAL} -s 0.0.0.0/0 -d {LAN} -l -j REJECT
ipchains -A output -i {EXTERNAL} -s {LAN} -d 0.0.0.0/0 -l -j REJECT
ipchains -A output -i {EXTERNAL} -s {ADDRESS} -d 0.0.0.0/0 -j ACCEPT
ipchains -A output -s 0.0.0.0/0 -d 0.0.0.0/0 -l -j REJECT
ipchains -F forward
ipchains -P forward DENY
ipchains -A forward -i {EXTERNAL} -s {LAN} -d 0.0.0.0/0 -j MASQ
ipchains -A forward -s 0.0.0.0/0 -d 0.0.0.0/0 -l -j REJECT
""",
    "2.4": f"""
iptables -P INPUT DROP
iptables -F INPUT
iptables -P OUTPUT DROP
iptables -F OUTPUT
iptables -P FORWARD DROP
iptables -F FORWARD
iptables -F -t nat
iptables -X
iptables -N drop-and-log-it
iptables -A drop-and-log-it -j LOG --log-level info
iptables -A drop-and-log-it -j DROP
iptables -A INPUT -i lo -s 0.0.0.0/0 -d 0.0.0.0/0 -j ACCEPT
iptables -A INPUT -i {INTERNAL} -s {LAN} -d 0.0.0.0/0 -j ACCEPT
iptables -A INPUT -i {EXTERNAL} -s {LAN} -d 0.0.0.0/0 -j drop-and-log-it
iptables -A INPUT -i {EXTERNAL} -s 0.0.0.0/0 -d {ADDRESS} -m state --state ESTABLISHED,RELATED -j ACCEPT
iptables -A INPUT -i {EXTERNAL} -p icmp -s 0.0.0.0/0 -d {ADDRESS} -j ACCEPT
iptables -A INPUT -s 0.0.0.0/0 -d 0.0.0.0/0 -j drop-and-log-it
iptables -A OUTPUT -o lo -s 0.0.0.0/0 -d 0.0.0.0/0 -j ACCEPT
iptables -A OUTPUT -o {INTERNAL} -s {l.ROUTER_LAN} -d {LAN} -j ACCEPT
iptables -A OUTPUT -o {EXTERNAL} -s 0.0.0.0/0 -d {LAN} -j drop-and-log-it
iptables -A OUTPUT -o {EXTERNAL} -s {ADDRESS} -d 0.0.0.0/0 -j ACCEPT
iptables -A OUTPUT -s 0.0.0.0/0 -d 0.0.0.0/0 -j drop-and-log-it
iptables -A FORWARD -i {EXTERNAL} -o {INTERNAL} -m state --state ESTABLISHED,RELATED -j ACCEPT
iptables -A FORWARD -i {INTERNAL} -o {EXTERNAL} -j ACCEPT
iptables -A FORWARD -j drop-and-log-it
iptables -t nat -A POSTROUTING -o {EXTERNAL} -j SNAT --to {l.ROUTER_WAN}
""",
}
