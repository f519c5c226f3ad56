/** The connections page, bundled and minified from `page/` by `build.ts`. */
declare module 'ui:page' {
  export const script: string;
  export const style: string;
}
