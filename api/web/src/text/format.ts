import { language } from ".";

const UNITS = ["kilobyte", "megabyte", "gigabyte", "terabyte"];

function unit(value: number, unit: string, digits: number): string {
  const options: Intl.NumberFormatOptions = {
    style: "unit",
    unit,
    unitDisplay: "short",
    maximumFractionDigits: digits,
  };
  return new Intl.NumberFormat(language.value, options).format(value);
}

export function number(value: number, digits = 0): string {
  return new Intl.NumberFormat(language.value, { maximumFractionDigits: digits }).format(value);
}

/** A share from 0 to 1, cut and not rounded: 100% is all of it. */
export function percent(share: number): string {
  const whole = Math.floor(Math.min(Math.max(share, 0), 1) * 100);
  return new Intl.NumberFormat(language.value, { style: "percent" }).format(whole / 100);
}

/** A count of bytes, in kilobytes of a thousand bytes and upwards. */
export function bytes(count: number): string {
  const power = Math.min(Math.max(Math.floor(Math.log10(count) / 3), 1), UNITS.length);
  const value = count / 1000 ** power;
  return unit(value, UNITS[power - 1] ?? "kilobyte", value >= 100 ? 0 : 1);
}

/** A time in seconds, as exact as somebody who waits wants it. */
export function duration(seconds: number): string {
  const whole = Math.max(1, Math.round(seconds));
  if (whole < 60) return unit(whole, "second", 0);
  const minutes = Math.round(whole / 60);
  if (minutes < 60) return unit(minutes, "minute", 0);
  const hours = Math.floor(minutes / 60);
  const rest = minutes % 60;
  if (hours >= 24 || rest === 0) return unit(Math.round(minutes / 60), "hour", 0);
  return `${unit(hours, "hour", 0)} ${unit(rest, "minute", 0)}`;
}

/** A moment of a video, as players show it. */
export function clock(seconds: number): string {
  const whole = Math.floor(seconds);
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  const twoDigits = (value: number) => String(value).padStart(2, "0");
  const rest = twoDigits(whole % 60);
  return hours > 0 ? `${hours}:${twoDigits(minutes)}:${rest}` : `${minutes}:${rest}`;
}

/** A language, such as `kor`, as people call it; what is no tag as it is. */
export function tongue(tag: string): string {
  try {
    return new Intl.DisplayNames(language.value, { type: "language" }).of(tag) ?? tag;
  } catch {
    return tag;
  }
}

/** A frame rate: one digit behind the point where it is small. */
export const rate = (perSecond: number) => number(perSecond, perSecond < 10 ? 1 : 0);
