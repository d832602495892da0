//! Prints the kernel's IPVS table: `cargo run -p tidegate-ipvs --example dump`.

use std::time::Duration;

use tidegate_ipvs::{Connection, Error};

fn main() -> Result<(), Error> {
    let mut ipvs = Connection::open(Duration::from_secs(5))?;
    println!("{:?}\n{:?}\n{:?}", ipvs.info()?, ipvs.timeouts()?, ipvs.daemons()?);
    for (key, entry) in ipvs.dump()? {
        println!("{key} {:?} {:?}", entry.service, entry.stats);
        for (address, destination) in entry.destinations {
            println!("  {address} {destination:?}");
        }
    }
    Ok(())
}
