interface SegmentsProps {
  legend: string;
  name: string;
  value: string;
  options: readonly (readonly [value: string, shown: string])[];
  choose(value: string): void;
}

/** One of few, all of them seen. */
export function Segments({ legend, name, value, options, choose }: SegmentsProps) {
  return (
    <fieldset class="field">
      <legend>{legend}</legend>
      <span class="segments">
        {options.map(([option, shown]) => (
          <label key={option}>
            <input type="radio" name={name} checked={option === value} onChange={() => choose(option)} />
            <span>{shown}</span>
          </label>
        ))}
      </span>
    </fieldset>
  );
}
