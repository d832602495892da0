use super::*;

#[test]
fn the_table_is_replaced_as_a_whole() {
    let addresses = ["192.0.2.1", "2001:db8::1", "192.0.2.2"].map(|address| address.parse().unwrap());
    assert_eq!(
        script(&addresses.into()),
        "table inet tidegate_vrrp\n\
         delete table inet tidegate_vrrp\n\
         table inet tidegate_vrrp { chain input { type filter hook input priority 110; policy accept;\n\
         iifname lo accept\n\
         icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept\n\
         ip daddr { 192.0.2.1, 192.0.2.2 } drop\n\
         ip6 daddr { 2001:db8::1 } drop\n\
         }\n}\n"
    );
}
