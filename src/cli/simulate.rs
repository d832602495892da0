//! `tidegate simulate`

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, ValueEnum};

use crate::config::{self, Mistakes, VirtualServer};
use crate::simulate::{self, Policy, Scenario, Score};

/// What is to be simulated.
#[derive(Debug, Args)]
pub(super) struct Simulate {
    /// Take the number of real servers, their weights and their check from this configuration
    config: Option<PathBuf>,
    /// Which of its virtual servers; the first by default
    #[arg(long, requires = "config", value_name = "NAME")]
    virtual_server: Option<String>,
    /// A scenario that is built in (S1, S7, eight, …), or FILE.toml
    #[arg(long, default_value = "S1", value_name = "NAME|FILE.toml")]
    scenario: String,
    /// What the director does about it: as Tidegate does, unless given; in the table as all do
    #[arg(long, value_enum)]
    policy: Option<Policy>,
    /// The same seed gives the same run
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
    /// Draw the run into this file
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
    /// Every policy on every scenario that is built in, with this many seeds from `--seed` on, as a table
    #[arg(long, value_name = "SEEDS", conflicts_with_all = ["config", "scenario", "plot"])]
    table: Option<u64>,
    /// The table with servers of this share of the size, which takes so much less time
    #[arg(long, default_value_t = 1.0, requires = "table", value_name = "SHARE")]
    scale: f64,
}

/// Why there is no simulation.
pub(super) enum Refusal {
    Configuration(Mistakes),
    Other(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self::Other(error.into())
    }
}

pub(super) fn run(arguments: &Simulate) -> Result<(), Refusal> {
    if let Some(seeds) = arguments.table {
        let seeds = arguments.seed..arguments.seed.saturating_add(seeds.clamp(1, 10_000));
        return Ok(table(arguments.policy, seeds, arguments.scale)?);
    }
    let mut scenario = Scenario::find(&arguments.scenario)?;
    if let Some(file) = &arguments.config {
        let model = config::load(file).map_err(Refusal::Configuration)?;
        scenario.configure(virtual_server(file, &model, arguments.virtual_server.as_deref())?)?;
    }
    let score = simulate::run(&scenario, arguments.policy.unwrap_or(Policy::Tidegate), arguments.seed);
    if let Some(file) = &arguments.plot {
        let drawing = simulate::plot(&scenario.title, &score);
        std::fs::write(file, drawing).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(super::write(&report(&scenario, &score))?)
}

fn virtual_server<'m>(
    file: &Path,
    model: &'m config::Model,
    name: Option<&str>,
) -> anyhow::Result<&'m VirtualServer> {
    let named = |it: &&std::sync::Arc<VirtualServer>| name.is_none_or(|name| *it.name == *name);
    let found = model.virtual_servers.iter().find(named);
    let what = name.map_or("no virtual server".into(), |name| format!("no virtual server named {name:?}"));
    Ok(found.ok_or_else(|| anyhow::anyhow!("{} has {what}", file.display()))?)
}

fn report(scenario: &Scenario, score: &Score) -> String {
    let recovery = score.recovery().map_or("not before the end".into(), |it| format!("after {it:.0} s"));
    format!(
        "{}\n\n{}\n\
         goodput over ideal       {:.3}\n\
         wrong ejections          {}\n\
         connections to the dead  {}, {} of them after the checks must have told\n\
         flows killed             {}\n\
         turned away without need {}\n\
         recovered                {recovery}\n",
        scenario.title,
        simulate::chart(score),
        score.goodput(),
        score.wrong_ejections,
        score.to_dead,
        score.to_known_dead,
        score.flows_killed,
        score.shed_without_need(),
    )
}

/// In Markdown: the median and the worst of goodput over ideal, and below what else Tidegate has done.
fn table(policy: Option<Policy>, seeds: std::ops::Range<u64>, scale: f64) -> anyhow::Result<()> {
    anyhow::ensure!((0.01..=1.0).contains(&scale), "the scale must be 0.01 to 1, not {scale}");
    let policies = policy.map_or_else(|| Policy::value_variants().to_vec(), |it| vec![it]);
    let name =
        |policy: &Policy| policy.to_possible_value().map(|it| it.get_name().to_owned()).unwrap_or_default();
    let heads: String = policies.iter().map(|it| format!(" {} |", name(it))).collect();
    super::write(&format!("| scenario |{heads}\n| --- |{}\n", " --- |".repeat(policies.len())))?;
    let mut counted = String::from(
        "\n| scenario, Tidegate | wrong ejections | to the dead | of them known | flows killed | shed without need |\n\
         | --- | --- | --- | --- | --- | --- |\n",
    );
    for name in simulate::names() {
        let scenario = Scenario::find(name)?.scaled(scale);
        let mut row = format!("| {name} |");
        for policy in &policies {
            let summary = simulate::summarise(&scenario, *policy, seeds.clone());
            row += &format!(" {:.3} / {:.3} |", summary.median(), summary.worst());
            if *policy == Policy::Tidegate {
                counted += &format!(
                    "| {name} | {} | {} | {} | {} | {} |\n",
                    summary.wrong_ejections,
                    summary.to_dead,
                    summary.to_known_dead,
                    summary.flows_killed,
                    summary.shed_without_need
                );
            }
        }
        super::write(&(row + "\n"))?;
    }
    super::write(&counted)
}
