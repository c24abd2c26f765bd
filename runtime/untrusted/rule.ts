import { harmless } from "../spec/problems.ts";
import type { Mount, Spec } from "../spec/config.ts";
import type { Ceiling } from "./ceiling.ts";
import type { Facts } from "./facts.ts";

/** One thing that a bundle asked for and does not get. */
export interface Cut {
  /** JSON pointer (RFC 6901) to what was asked for. */
  readonly pointer: string;
  /** What was asked for, in few words. */
  readonly asked: string;
  /** What it gets instead; missing where that is nothing. */
  readonly given?: string;
  /** Why. */
  readonly reason: string;
}

/** A cut in one line: `/hooks/prestart: asked for …, given nothing: …`. */
export function cutLine({ pointer, asked, given = "nothing", reason }: Cut): string {
  return `${pointer}: asked for ${asked}, given ${given}: ${reason}`;
}

/** A mount and its index in the config.json. */
export interface Placed {
  readonly index: number;
  readonly mount: Mount;
}

/** A spec that rules work on: its mounts stand apart, so that those that go leave the others their index. */
export interface Draft {
  readonly spec: Spec;
  readonly mounts: readonly Placed[];
}

/** What rules go by, and whom they tell. */
export interface Terms {
  readonly ceiling: Ceiling;
  readonly facts: Facts;
  /** Notes what is taken away. */
  cut(pointer: string, asked: unknown, reason: string, given?: unknown): void;
  /** Notes what a sandbox cannot do without and cannot have. */
  refuse(pointer: string, message: string): void;
}

/** One idea of what is too much. Protections that are added without anything being taken away are not noted. */
export interface Rule {
  readonly name: string;
  apply(draft: Draft, terms: Terms): Draft;
}

/** A rule about the spec without its mounts. */
export function onSpec(rule: (spec: Spec, terms: Terms) => Spec): Rule {
  return { name: rule.name, apply: ({ spec, mounts }, terms) => ({ spec: rule(spec, terms), mounts }) };
}

/** A rule about each mount by itself; without a result the mount goes. */
export function onMounts(rule: (placed: Placed, terms: Terms, spec: Spec) => Mount | undefined): Rule {
  return {
    name: rule.name,
    apply: ({ spec, mounts }, terms) => ({
      spec,
      mounts: mounts.flatMap((placed) => {
        const mount = rule(placed, terms, spec);
        return mount === undefined ? [] : [{ index: placed.index, mount }];
      }),
    }),
  };
}

const MOST_SHOWN = 80;

/** A value of the bundle in few words that do not steer a terminal. */
export function show(value: unknown): string {
  const text = typeof value === "string"
    ? value
    : JSON.stringify(value, (_, each) => typeof each === "bigint" ? Number(each) : each) ?? "nothing";
  return harmless(text.length > MOST_SHOWN ? `${text.slice(0, MOST_SHOWN)}…` : text);
}

/** The object without a property. */
export function without<T extends object, K extends keyof T>(object: T, key: K): Omit<T, K> {
  const { [key]: _, ...rest } = object;
  return rest;
}
