//! Pre-training, supervised fine-tuning and diffu-GRPO, each as one resumable stage.

use super::recipe::{Rl, adamw};
use super::world::World;
use crate::commands::generation_config::GenerationConfig;
use crate::progress::Progress;
use crate::reproduce::run_dir::RunDir;
use afterthought_models::{Decoder, hub};
use afterthought_random::Stream;
use afterthought_tasks::{Problem, Profile, TaskName, summarise};
use afterthought_training::objective::Example;
use afterthought_training::{DiffuGrpo, Learner, evaluate, supervised_step};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::time::Instant;

/// Rows a training forward pass at most.
const MAX_ROWS: usize = 512;

/// Loss of a supervised stage over time.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct SupervisedLog {
    /// `[step, mean loss since the last point]`.
    pub(crate) loss: Vec<[f64; 2]>,
    /// Wall time.
    pub(crate) seconds: f64,
    /// Training tokens a second.
    pub(crate) tokens_per_second: f64,
}

/// A validation point of an RL run.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct ValidationPoint {
    /// Rollout steps taken.
    pub(crate) step: usize,
    /// Training reward, greedy decoding.
    pub(crate) reward: f64,
    /// Strict accuracy, greedy decoding.
    pub(crate) strict: f64,
}

/// What one rollout step of an RL run saw.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RlPoint {
    /// Rollout step, from 0: the rewards are those of the policy before its update.
    pub(crate) step: usize,
    /// Seconds since the run began, validation left out.
    pub(crate) seconds: f64,
    /// Mean reward of each group (prompt).
    pub(crate) group_rewards: Vec<f64>,
    /// Share of groups without spread.
    pub(crate) frac_reward_zero_std: f64,
    /// Mean divergence from the reference, nats a token.
    pub(crate) kl: f64,
    /// Share of tokens whose clipped ratio decided.
    pub(crate) clip_fraction: f64,
    /// Mean tokens to EOS.
    pub(crate) mean_length: f64,
}

/// A whole RL run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct RlLog {
    /// One entry a rollout step.
    pub(crate) points: Vec<RlPoint>,
    /// Validation results, the start included.
    pub(crate) validation: Vec<ValidationPoint>,
    /// Rollout step whose checkpoint was kept.
    pub(crate) chosen: usize,
    /// Wall time.
    pub(crate) seconds: f64,
}

/// What the stages need from their surroundings.
pub(crate) struct Stages<'a> {
    pub(crate) world: &'a World,
    pub(crate) run: &'a RunDir,
    pub(crate) interrupt: &'a dyn Fn() -> bool,
}

impl Stages<'_> {
    /// Loads what an earlier call of a stage left.
    pub(crate) fn load(&self, name: &str) -> anyhow::Result<Decoder> {
        Ok(hub::load(&self.run.model(name), &self.world.device)?)
    }

    /// Writes the model of a stage, then marks the stage as finished.
    fn keep(&self, name: &str, decoder: &Decoder, log: &impl Serialize) -> anyhow::Result<()> {
        let directory = self.run.model(name);
        if directory.exists() {
            // Left by a run that stopped between the two writes below.
            std::fs::remove_dir_all(&directory)?;
        }
        hub::save(decoder, self.world.format.tokenizer.as_bytes(), &directory)?;
        let params = self.world.decoding(self.world.recipe.rl.gen_length, 0.0);
        GenerationConfig {
            gen_length: Some(params.gen_length),
            block_length: Some(params.block_length),
            steps: params.commit.steps(),
            temperature: Some(params.temperature),
            ..GenerationConfig::default()
        }
        .write(&directory)?;
        self.run.finish(name, log)
    }

    /// Pre-trains the base model; `first_look` is called once, early, with the model so far.
    pub(crate) fn pretrain(
        &self,
        progress: &Progress,
        first_look: &mut dyn FnMut(&Decoder) -> anyhow::Result<()>,
    ) -> anyhow::Result<Decoder> {
        let (world, options) = (self.world, &self.world.recipe.pretrain);
        let decoder = Decoder::random(world.model(), world.seed, &world.device)?;
        let optimizer = adamw(options.weight_decay, options.max_grad_norm);
        let learner = Learner::new(decoder, optimizer, options.schedule());
        let windows = &world.recipe.corpus.windows;
        self.supervise(
            "base",
            learner,
            options.steps,
            progress,
            &mut |step| {
                let window = *Stream::new(world.seed, "window", step, 0).choose(windows);
                (0..options.batch as u64)
                    .into_par_iter()
                    .map(|index| {
                        let mut stream = Stream::new(world.seed, "corpus", step, index);
                        let task = world.pretraining_task(index as usize);
                        let habit = world.habit(task, &mut stream);
                        world.example(&world.train.of(task).corpus(habit, &mut stream)?, window)
                    })
                    .collect()
            },
            Some((options.first_look, first_look)),
        )
    }

    /// Fine-tunes on the teacher's traces.
    pub(crate) fn fine_tune(&self, base: &Decoder, progress: &Progress) -> anyhow::Result<Decoder> {
        let (world, options) = (self.world, &self.world.recipe.sft);
        let traces = (0..options.traces as u64)
            .map(|index| {
                let mut stream = Stream::new(world.seed, "teacher", 0, index);
                let writer = world.train.of(super::world::TASKS[index as usize % 2]);
                let written =
                    writer.teacher(options.methodical, options.correction, &mut stream)?;
                world.example(&written, options.window)
            })
            .collect::<anyhow::Result<Vec<Example>>>()?;
        let optimizer = adamw(options.weight_decay, options.max_grad_norm);
        let learner = Learner::new(base.clone(), optimizer, options.schedule());
        self.supervise(
            "sft",
            learner,
            options.steps,
            progress,
            &mut |step| {
                let mut stream = Stream::new(world.seed, "sft batch", step, 0);
                Ok((0..options.batch).map(|_| stream.choose(&traces).clone()).collect())
            },
            None,
        )
    }

    #[allow(clippy::type_complexity)]
    fn supervise(
        &self,
        name: &str,
        mut learner: Learner,
        steps: usize,
        progress: &Progress,
        batch: &mut dyn FnMut(u64) -> anyhow::Result<Vec<Example>>,
        mut first_look: Option<(usize, &mut dyn FnMut(&Decoder) -> anyhow::Result<()>)>,
    ) -> anyhow::Result<Decoder> {
        let world = self.world;
        self.run.forget("metrics.jsonl", name)?;
        let begun = Instant::now();
        let every = (steps / 50).max(1);
        let mut log = SupervisedLog::default();
        let (mut sum, mut tokens) = (0.0, 0usize);
        for step in 0..steps {
            self.check_interrupt()?;
            let examples = batch(step as u64)?;
            let references: Vec<&Example> = examples.iter().collect();
            let ids = [world.mask, world.format.eos];
            let key = [world.seed, step as u64];
            let update =
                supervised_step(&mut learner, &references, &world.recipe.loss, ids, key, MAX_ROWS)?;
            sum += update.loss;
            tokens += examples.iter().map(|e| e.prompt.len() + e.window).sum::<usize>();
            let rate = tokens as f64 / begun.elapsed().as_secs_f64();
            progress.metric("loss", update.loss);
            progress.metric("tokens/s", rate);
            progress.inc(1);
            if (step + 1) % every == 0 {
                let loss = sum / every as f64;
                log.loss.push([(step + 1) as f64, loss]);
                sum = 0.0;
                self.run.log("metrics.jsonl", &serde_json::json!({
                    "stage": name, "step": step + 1, "loss": loss, "grad_norm": update.grad_norm,
                    "learning_rate": update.learning_rate, "num_tokens": tokens,
                }))?;
            }
            if let Some((at, look)) = &mut first_look
                && *at == step + 1
            {
                look(learner.decoder())?;
            }
        }
        log.seconds = begun.elapsed().as_secs_f64();
        log.tokens_per_second = tokens as f64 / log.seconds;
        let decoder = learner.into_decoder();
        self.keep(name, &decoder, &log)?;
        Ok(decoder)
    }

    /// diffu-GRPO on one task from `start`; keeps the checkpoint with the best validation reward,
    /// the start included.
    pub(crate) fn reinforce(
        &self,
        name: &str,
        start: &Decoder,
        task: TaskName,
        options: &Rl,
        progress: &Progress,
    ) -> anyhow::Result<Decoder> {
        let (best, log) = self.rl_run(name, start, task, options, None, progress)?;
        self.keep(name, &best, &log)?;
        Ok(best)
    }

    /// The RL run itself, at most `options.steps` rollout steps or `limit` seconds.
    pub(crate) fn rl_run(
        &self,
        name: &str,
        start: &Decoder,
        task: TaskName,
        options: &Rl,
        limit: Option<f64>,
        progress: &Progress,
    ) -> anyhow::Result<(Decoder, RlLog)> {
        let world = self.world;
        self.run.forget("metrics.jsonl", name)?;
        let validation = world.validation(task)?;
        let grpo = DiffuGrpo {
            estimator: options.estimator(),
            objective: options.objective(),
            group_size: options.group_size,
            inner_updates: options.inner_updates,
            sampling: world.rollouts(options),
            max_rows: MAX_ROWS,
            seed: world.seed,
        };
        let optimizer = adamw(options.weight_decay, options.max_grad_norm);
        let mut learner = Learner::new(start.clone(), optimizer, options.schedule());
        let mut log = RlLog::default();
        let mut best = (f64::NEG_INFINITY, start.clone());
        let (begun, mut training) = (Instant::now(), 0.0);
        for step in 0..=options.steps {
            let out_of_time = limit.is_some_and(|limit| training >= limit);
            let last = step == options.steps || out_of_time;
            if step % options.validate_every == 0 || last {
                let point = self.validate(learner.decoder(), &validation, step, options)?;
                if point.reward > best.0 {
                    best = (point.reward, learner.decoder().clone());
                    log.chosen = step;
                }
                progress.metric("validation", point.reward);
                log.validation.push(point);
                self.run.log(
                    "metrics.jsonl",
                    &serde_json::json!({
                        "stage": name, "step": step, "validation_reward": point.reward,
                        "validation_strict": point.strict,
                    }),
                )?;
            }
            if last {
                break;
            }
            self.check_interrupt()?;
            let step_begun = Instant::now();
            let problems = (0..options.prompts as u64)
                .map(|index| {
                    let mut stream = Stream::new(world.seed, "rl problems", step as u64, index);
                    Ok(world.train.of(task).problem(&mut stream)?)
                })
                .collect::<anyhow::Result<Vec<Box<dyn Problem>>>>()?;
            let problems: Vec<&dyn Problem> = problems.iter().map(AsRef::as_ref).collect();
            let metrics = grpo.step(
                &mut learner,
                start,
                &problems,
                &world.format,
                step as u64,
                self.interrupt,
            )?;
            training += step_begun.elapsed().as_secs_f64();
            progress.metric("reward", metrics.reward);
            progress.inc(1);
            self.run.log(
                "metrics.jsonl",
                &serde_json::json!({
                    "stage": name, "step": step, "reward": metrics.reward,
                    "reward_std": metrics.reward_std,
                    "frac_reward_zero_std": metrics.frac_reward_zero_std,
                    "completions/mean_length": metrics.mean_length,
                    "completions/clipped_ratio": metrics.clipped_ratio,
                    "kl": metrics.kl, "clip_ratio": metrics.clip_fraction, "loss": metrics.loss,
                    "grad_norm": metrics.grad_norm, "model_calls": metrics.model_calls,
                    "rollout_tokens": metrics.rollout_tokens, "updates": metrics.updates,
                }),
            )?;
            log.points.push(RlPoint {
                step,
                seconds: training,
                group_rewards: metrics
                    .rewards
                    .chunks(options.group_size)
                    .map(|group| group.iter().sum::<f64>() / group.len() as f64)
                    .collect(),
                frac_reward_zero_std: metrics.frac_reward_zero_std,
                kl: metrics.kl,
                clip_fraction: metrics.clip_fraction,
                mean_length: metrics.mean_length,
            });
        }
        log.seconds = begun.elapsed().as_secs_f64();
        Ok((best.1, log))
    }

    fn validate(
        &self,
        decoder: &Decoder,
        problems: &[Box<dyn Problem>],
        step: usize,
        options: &Rl,
    ) -> anyhow::Result<ValidationPoint> {
        let world = self.world;
        let params = world.decoding(options.gen_length, 0.0);
        let result =
            evaluate(decoder, problems, &world.format, &params, world.seed, self.interrupt)?;
        Ok(ValidationPoint {
            step,
            reward: result.mean(|item| item.reward),
            strict: summarise(&result.grades(Profile::Strict)).score,
        })
    }

    fn check_interrupt(&self) -> anyhow::Result<()> {
        if (self.interrupt)() {
            let checkpoint = self.run.path().to_owned();
            return Err(crate::exit::Interrupted { checkpoint }.into());
        }
        Ok(())
    }
}
