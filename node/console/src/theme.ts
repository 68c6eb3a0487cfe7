/** One accent, calm greys, system fonts: everything the console looks like starts here. */
import { createTheme, type MantineColorsTuple, type MantineThemeOverride } from '@mantine/core';

/** Deep teal; shade 7 on white and white on shade 6 are above 4.5:1. */
const tide: MantineColorsTuple = [
  '#eaf6f7',
  '#d6ebed',
  '#abd6da',
  '#7bc0c7',
  '#53adb6',
  '#3a9fa9',
  '#1f7c87',
  '#12606a',
  '#0d4f58',
  '#073e46',
];

/** Greys with a little of the accent in them, so that surfaces belong together. */
const slate: MantineColorsTuple = [
  '#e4e9ec',
  '#c6ced3',
  '#a3adb4',
  '#7f8a92',
  '#4a545b',
  '#333c43',
  '#252d33',
  '#181e23',
  '#12171b',
  '#0c1013',
];

/** Red whose shade 7 is readable as text on white. */
const alarm: MantineColorsTuple = [
  '#fff1f1',
  '#ffe0e0',
  '#ffc1c1',
  '#ff9c9c',
  '#f47b7b',
  '#e05656',
  '#c93636',
  '#b42323',
  '#951a1a',
  '#761212',
];

export const theme: MantineThemeOverride = createTheme({
  primaryColor: 'tide',
  primaryShade: { light: 7, dark: 6 },
  autoContrast: true,
  luminanceThreshold: 0.34,
  colors: { tide, dark: slate, red: alarm },
  defaultRadius: 'md',
  cursorType: 'pointer',
  respectReducedMotion: true,
  fontFamily: 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", Ubuntu, Cantarell, sans-serif',
  fontFamilyMonospace: 'ui-monospace, "SF Mono", Menlo, "DejaVu Sans Mono", monospace',
  headings: {
    fontWeight: '650',
    sizes: {
      h1: { fontSize: '1.625rem', lineHeight: '1.25' },
      h2: { fontSize: '1.125rem', lineHeight: '1.35' },
      h3: { fontSize: '1rem', lineHeight: '1.4' },
    },
  },
  components: {
    Tooltip: { defaultProps: { openDelay: 300, withArrow: true } },
    Modal: {
      defaultProps: {
        centered: true,
        overlayProps: { backgroundOpacity: 0.45, blur: 2 },
        // Its head is no second banner of the page.
        attributes: { header: { role: 'presentation' } },
      },
    },
    ActionIcon: { defaultProps: { variant: 'subtle', color: 'gray' } },
    Table: { defaultProps: { verticalSpacing: 'sm', highlightOnHover: true } },
  },
});
