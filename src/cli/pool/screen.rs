//! The terminal as a screen that is redrawn in place.

use std::io::{self, Write};

use crossterm::cursor::{Hide, MoveTo, MoveToNextLine, Show};
use crossterm::event::{Event, EventStream, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use crossterm::queue;
use crossterm::terminal::{
    self, BeginSynchronizedUpdate, Clear, ClearType, DisableLineWrap, EnableLineWrap,
    EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen,
};
use futures_util::StreamExt;

use super::line::Line;

/// The screen, until it is dropped: then the terminal is as it was.
#[derive(Debug)]
pub(super) struct Screen {
    color: bool,
    /// Whether keys are read, which needs a terminal at stdin too.
    keys: Option<EventStream>,
}

/// What a person does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Input {
    Quit,
    /// Show more or less of each pool.
    Detail,
    /// Go so many lines down, or up when negative.
    Lines(isize),
    /// Go so many screens down, or up when negative.
    Pages(isize),
    /// The terminal has another size.
    Resized,
}

impl Screen {
    /// Takes the terminal at stdout.
    pub(super) fn enter(color: bool) -> io::Result<Self> {
        let keys = terminal::enable_raw_mode().is_ok().then(EventStream::new);
        // From here on, dropping it puts everything back.
        let screen = Self { color, keys };
        let mut out = io::stdout().lock();
        queue!(out, EnterAlternateScreen, Hide, DisableLineWrap)?;
        out.flush()?;
        Ok(screen)
    }

    /// Columns and lines.
    pub(super) fn size() -> (usize, usize) {
        let (columns, lines) = terminal::size().unwrap_or((80, 24));
        (columns.into(), lines.into())
    }

    /// Shows these lines, which have at most `width` columns. Written at once, each line over the one that
    /// was there, so that nothing flickers.
    pub(super) fn draw(&self, lines: &[Line], width: usize) -> io::Result<()> {
        let mut frame = Vec::new();
        queue!(frame, BeginSynchronizedUpdate, MoveTo(0, 0))?;
        for (position, line) in lines.iter().enumerate() {
            if position > 0 {
                queue!(frame, MoveToNextLine(1))?;
            }
            if self.color {
                write!(frame, "{line}")?;
            } else {
                write!(frame, "{}", line.plain())?;
            }
            // Behind a line that fills the screen the cursor stands on its last character.
            if line.width() < width {
                queue!(frame, Clear(ClearType::UntilNewLine))?;
            }
        }
        queue!(frame, EndSynchronizedUpdate)?;
        let mut out = io::stdout().lock();
        out.write_all(&frame)?;
        out.flush()
    }

    /// The next thing that a person does; waits for ever without keys. Cancel safe.
    pub(super) async fn input(&mut self) -> io::Result<Input> {
        let Some(keys) = &mut self.keys else { return std::future::pending().await };
        loop {
            match keys.next().await {
                Some(Ok(Event::Resize(..))) => return Ok(Input::Resized),
                Some(Ok(Event::Key(key))) if key.kind != KeyEventKind::Release => {
                    if let Some(input) = meaning(key) {
                        return Ok(input);
                    }
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error),
                None => return Ok(Input::Quit),
            }
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let mut out = io::stdout().lock();
        // A terminal that is gone needs nothing put back.
        drop(queue!(out, EndSynchronizedUpdate, EnableLineWrap, Show, LeaveAlternateScreen));
        drop(out.flush());
        if self.keys.take().is_some() {
            drop(terminal::disable_raw_mode());
        }
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "most keys mean nothing here")]
fn meaning(key: KeyEvent) -> Option<Input> {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    match key.code {
        KeyCode::Char('c' | 'd') if control => Some(Input::Quit),
        KeyCode::Char('q') | KeyCode::Esc => Some(Input::Quit),
        KeyCode::Char('d') | KeyCode::Enter => Some(Input::Detail),
        KeyCode::Down | KeyCode::Char('j') => Some(Input::Lines(1)),
        KeyCode::Up | KeyCode::Char('k') => Some(Input::Lines(-1)),
        KeyCode::PageDown | KeyCode::Char(' ') => Some(Input::Pages(1)),
        KeyCode::PageUp => Some(Input::Pages(-1)),
        KeyCode::Home => Some(Input::Lines(isize::MIN)),
        KeyCode::End => Some(Input::Lines(isize::MAX)),
        _ => None,
    }
}
