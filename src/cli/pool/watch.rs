//! `pool watch`: the loop between servers, screen and person.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use anstream::{AutoStream, ColorChoice};
use chrono::{DateTime, Local, Utc};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::super::output::{FAINT, STRONG};
use super::super::signals::stop_on_signal;
use super::line::Line;
use super::screen::{Input, Screen};
use super::trend::Trends;
use super::view::{Detail, Scene};
use super::{CliError, MAX_WIDTH, Server, ask};
use crate::config::Environment;
use crate::control::Folder;

/// Lines above and below the pools, blank ones included.
const AROUND: usize = 4;

/// What is watched, and how much of it is shown.
#[derive(Debug, Default)]
struct Watch {
    /// `None` before the first look.
    servers: Option<Vec<Server>>,
    trends: Trends,
    /// What the person wished for; without a wish everything, if there is room.
    wish: Option<Detail>,
    /// What was shown last.
    detail: Option<Detail>,
    /// Lines above the first one that is shown, and the most that there can be.
    skipped: usize,
    skippable: usize,
    /// Lines of a screenful.
    page: usize,
}

pub(super) async fn run(
    folder: Folder,
    every: Duration,
    environment: &Environment,
) -> Result<(), CliError> {
    let stop = stop_on_signal()?;
    // Asking must not hold up keys, and a server that does not answer takes its time.
    let (sender, looks) = mpsc::channel(1);
    let mut tasks = JoinSet::new();
    tasks.spawn(look_again_and_again(folder, every, sender));
    let dumb = environment.variables.get("TERM").is_some_and(|term| term == "dumb");
    let shown = async {
        if io::stdout().is_terminal() && !dumb {
            on_screen(looks, every).await
        } else {
            line_by_line(looks).await
        }
    };
    tokio::select! {
        outcome = shown => outcome,
        () = stop.cancelled() => Ok(()),
    }
}

type Look = Result<Vec<Server>, CliError>;

async fn look_again_and_again(folder: Folder, every: Duration, looks: mpsc::Sender<Look>) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let look = ask(&folder).await;
        let servers = look.map(|answers| answers.into_iter().map(Server::from).collect());
        if looks.send(servers).await.is_err() {
            return;
        }
    }
}

async fn on_screen(mut looks: mpsc::Receiver<Look>, every: Duration) -> Result<(), CliError> {
    let color = AutoStream::choice(&io::stdout()) != ColorChoice::Never;
    let mut watch = Watch::default();
    let mut screen = Screen::enter(color)?;
    loop {
        let now = Utc::now();
        let clock = now.with_timezone(&Local).format("%H:%M:%S");
        let title = format!("every {every:?}");
        let size = Screen::size();
        screen.draw(&watch.frame(size, now, &format!("{title}   {clock}")), size.0)?;
        tokio::select! {
            look = looks.recv() => match look {
                Some(servers) => watch.look(servers?),
                None => return Ok(()),
            },
            input = screen.input() => {
                let input = input?;
                if input == Input::Quit {
                    return Ok(());
                }
                watch.follow(input);
            }
        }
    }
}

/// For a file or a pipe: a line for each pool at each look.
async fn line_by_line(mut looks: mpsc::Receiver<Look>) -> Result<(), CliError> {
    let mut trends = Trends::default();
    while let Some(servers) = looks.recv().await {
        let servers = servers?;
        trends.add(&servers);
        let scene = Scene { servers: &servers, trends: &trends, now: Utc::now() };
        let mut out = anstream::stdout().lock();
        for line in scene.log() {
            writeln!(out, "{line}")?;
        }
        out.flush()?;
    }
    Ok(())
}

impl Watch {
    fn look(&mut self, servers: Vec<Server>) {
        self.trends.add(&servers);
        self.servers = Some(servers);
    }

    fn follow(&mut self, input: Input) {
        let page = self.page.cast_signed();
        let lines = match input {
            Input::Lines(lines) => lines,
            Input::Pages(pages) => pages.saturating_mul(page),
            Input::Detail => {
                self.wish = match self.detail {
                    Some(Detail::Row) => Some(Detail::Full),
                    Some(Detail::Full) | None => Some(Detail::Row),
                };
                0
            }
            Input::Quit | Input::Resized => 0,
        };
        self.skipped = self.skipped.saturating_add_signed(lines).min(self.skippable);
    }

    /// What a screen with so many columns and lines shows; `aside` stands in its upper right corner.
    fn frame(&mut self, size: (usize, usize), now: DateTime<Utc>, aside: &str) -> Vec<Line> {
        let (width, height) = (size.0.min(MAX_WIDTH), size.1);
        self.page = height.saturating_sub(AROUND).max(1);
        let scene =
            self.servers.as_ref().map(|servers| Scene { servers, trends: &self.trends, now });
        let (body, detail) = match &scene {
            None => (vec![Line::new().styled(FAINT, "looking for servers")], None),
            Some(scene) if scene.servers.is_empty() => (nothing(), None),
            Some(scene) => {
                let (lines, detail) = self.body(scene, width);
                (lines, Some(detail))
            }
        };
        let counts = scene.map(|scene| scene.counts()).unwrap_or_default();
        let title = Line::new().styled(STRONG, "codebase-mcp pools").text("  ").text(counts);
        let title = title.right(width, Line::new().styled(FAINT, aside));

        self.detail = detail;
        self.skippable = body.len().saturating_sub(self.page);
        self.skipped = self.skipped.min(self.skippable);
        let total = body.len();
        let shown = body.into_iter().skip(self.skipped).take(self.page);
        let mut lines = vec![title, Line::new()];
        lines.extend(shown);
        lines.resize_with(height.saturating_sub(1).max(2), Line::new);
        lines.push(self.footer(total));
        lines.truncate(height);
        lines.into_iter().map(|line| line.clipped(size.0)).collect()
    }

    /// Everything about each pool if there is room for it, unless the person wished otherwise.
    fn body(&self, scene: &Scene<'_>, width: usize) -> (Vec<Line>, Detail) {
        let detail = self.wish.unwrap_or(Detail::Full);
        let lines = scene.lines(detail, width);
        if self.wish.is_none() && lines.len() > self.page {
            return (scene.lines(Detail::Row, width), Detail::Row);
        }
        (lines, detail)
    }

    fn footer(&self, total: usize) -> Line {
        let mut footer = Line::new().styled(FAINT, "q quit");
        match self.detail {
            Some(Detail::Full) => footer = footer.styled(FAINT, "   d one line a pool"),
            Some(Detail::Row) => footer = footer.styled(FAINT, "   d all about each pool"),
            None => {}
        }
        if self.skippable > 0 {
            let last = (self.skipped + self.page).min(total);
            let range = format!("   ↑↓ lines {} to {last} of {total}", self.skipped + 1);
            footer = footer.styled(FAINT, range);
        }
        footer
    }
}

fn nothing() -> Vec<Line> {
    vec![
        Line::new().text("No server of this user runs."),
        Line::new().styled(FAINT, "An MCP client starts one, or `codebase-mcp serve` does."),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::samples::{busy_pool, dead_pool, now, pool, server};
    use super::*;

    const SCREEN: (usize, usize) = (80, 24);

    fn watch(servers: Vec<Server>) -> Watch {
        let mut watch = Watch::default();
        watch.look(servers);
        watch
    }

    fn twelve_pools() -> Vec<Server> {
        let projects = (1..12).map(|number| match number % 5 {
            0 => dead_pool(&format!("project number-{number}")),
            2 => busy_pool(&format!("project number-{number}")),
            _ => pool(&format!("project number-{number}")),
        });
        vec![server(4711, std::iter::once(pool("registry")).chain(projects).collect())]
    }

    /// A frame, with a mark at the end of each line.
    fn frame(watch: &mut Watch, size: (usize, usize)) -> String {
        let lines = watch.frame(size, now(), "every 1s   12:00:00");
        assert_eq!(lines.len(), size.1, "a frame fills the screen");
        assert!(lines.iter().all(|line| line.width() <= size.0), "and no line is too long");
        lines.iter().map(|line| line.plain() + "|\n").collect()
    }

    fn check(name: &str, text: &str) {
        insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!(name, text);
        });
    }

    #[test]
    fn a_screen_without_servers() {
        check("screen_before", &frame(&mut Watch::default(), SCREEN));
        check("screen_nobody", &frame(&mut watch(Vec::new()), SCREEN));
    }

    #[test]
    fn a_screen_with_one_pool_shows_everything() {
        let mut watch = watch(vec![server(4711, vec![pool("registry")])]);
        check("screen_one", &frame(&mut watch, SCREEN));
        watch.follow(Input::Detail);
        check("screen_one_row", &frame(&mut watch, SCREEN));
    }

    #[test]
    fn twelve_pools_have_a_row_each() {
        check("screen_twelve", &frame(&mut watch(twelve_pools()), SCREEN));
    }

    #[test]
    fn what_has_no_room_can_be_scrolled_to() {
        let mut watch = watch(twelve_pools());
        let size = (60, 12);
        check("screen_small", &frame(&mut watch, size));
        watch.follow(Input::Pages(1));
        let second = frame(&mut watch, size);
        watch.follow(Input::Lines(isize::MAX));
        check("screen_small_end", &frame(&mut watch, size));
        watch.follow(Input::Pages(-1));
        watch.follow(Input::Lines(1));
        assert_ne!(frame(&mut watch, size), second);
        watch.follow(Input::Lines(isize::MIN));
        assert!(frame(&mut watch, size).contains("lines 1 to 8 of"));
        // With room for everything again there is nothing to scroll.
        watch.follow(Input::Lines(isize::MAX));
        frame(&mut watch, (80, 200));
        assert_eq!((watch.skipped, watch.detail), (0, Some(Detail::Full)));
    }

    #[test]
    fn no_screen_is_too_small() {
        let mut watch = watch(twelve_pools());
        for columns in [0, 1, 2, 7, 20, 40] {
            for lines in [0, 1, 2, 3, 4, 5, 9] {
                frame(&mut watch, (columns, lines));
                watch.follow(Input::Pages(1));
                watch.follow(Input::Detail);
            }
        }
    }
}
